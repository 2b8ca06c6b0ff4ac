"""The queue's numbers for the gauges: what ``mailqueue stats`` shows, counted once in a while.

Counting looks at every mail that failed and at thousands that wait. So a scrape gets what was
counted a few seconds ago, however many scrapers there are; and where counting takes long, it is
done the less often.
"""

import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from redis.exceptions import RedisError

from mailqueue.desk.overview import Overview, overview
from mailqueue.desk.queue_length import QueueLength, queue_length
from mailqueue.state import hasty_state

#: Seconds for which what was counted will do, at the least.
_FRESH: Final = 5.0
#: And as many times what counting took: it keeps Redis busy for that part of the time at the most.
_SHARE: Final = 50
#: Seconds for which a scrape waits; Prometheus gives up after ten.
_PATIENCE: Final = 4.0


class Numbers(NamedTuple):
    """What is known of the queue."""

    #: None where the state store did not answer.
    overview: Overview | None
    queued: QueueLength

    @property
    def broker_answers(self) -> bool:
        """Whether the broker did."""
        return not self.queued.trouble


def count() -> Numbers:
    """Ask state store and broker, whichever answers."""
    try:
        hasty_state().ping()  # others wait for it longer than a scrape does
        found = overview()
    except (RedisError, OSError):
        return Numbers(None, queue_length())
    return Numbers(found, found.queued)


class Latest:
    """The latest numbers, counted in the background.

    Args:
        count: Counts.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        count: Callable[[], Numbers] = count,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count = count
        self._clock = clock
        self._lock = threading.Lock()
        self._counting: threading.Thread | None = None
        self._found: Numbers | None = None
        self._stale_at = 0.0

    def get(self, patience: float = _PATIENCE) -> Numbers | None:
        """What was counted last, or is counted within ``patience`` seconds; None: nothing yet."""
        with self._lock:
            if self._counting is None and self._clock() >= self._stale_at:
                self._counting = threading.Thread(
                    target=self._run, name="mailqueue-counting", daemon=True
                )
                self._counting.start()
            counting = self._counting
        if counting is not None:
            counting.join(patience)
        return self._found

    def _run(self) -> None:
        began = self._clock()
        fresh = _FRESH
        try:
            self._found = found = self._count()
            if found.overview is not None and found.broker_answers:
                fresh = max(fresh, _SHARE * (self._clock() - began))
        finally:
            with self._lock:
                self._stale_at = self._clock() + fresh
                self._counting = None
