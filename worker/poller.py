"""The poller: a thread in every worker that publishes what is due.

Any number of them work side by side: each takes what is due under a lease (``mailqueue.schedule``).
It also lets parked mail go when its route is open again, and keeps the failed store within its
bounds. It is a thread of the worker's main process, so there is no further program to forget.
"""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from celery import bootsteps
from redis.exceptions import RedisError

from mailqueue import failed, schedule
from mailqueue.batch import Encoded, cut
from mailqueue.broker import PRIORITIES
from mailqueue.conf import get_settings
from mailqueue.envelope import Priority
from mailqueue.errors import EnqueueError
from mailqueue.publisher import get_publisher
from mailqueue.routing.route import DEFAULT
from worker.releasing import release_parked

logger = logging.getLogger("mailqueue.worker")

#: Seconds between two looks at the schedule.
_INTERVAL: Final = 1.0
#: Seconds before another try when the state store or the broker is away.
_PAUSE: Final = 5.0
#: Seconds between two prunings of the failed store.
_PRUNE_INTERVAL: Final = 60.0
#: What one look takes at the most: messages, and about that many bytes.
_MESSAGES: Final = 500
_BYTES: Final = 8_000_000


class Poller:
    """Looks at the schedule until told to stop."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mailqueue-poller", daemon=True)
        self._pruned_at = 0.0
        self._away = False

    def start(self) -> None:
        """Begin, in a thread."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End, within ``timeout`` seconds; what was taken and not published is handed out again."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                busy = self.look()
            except (RedisError, EnqueueError) as error:
                if not self._away:
                    logger.warning("the schedule waits: %s", error)
                self._away = True
                self._stop.wait(_PAUSE)
            except Exception:
                # A fault of ours must not end the thread: scheduled mail would wait for ever.
                logger.exception("the schedule could not be worked on")
                self._stop.wait(_PAUSE)
            else:
                if self._away:
                    logger.warning("the schedule goes on")
                self._away = False
                if not busy:
                    self._stop.wait(_INTERVAL)

    def look(self) -> bool:
        """Publish what is due; True where there may be more at once."""
        release_parked()
        taken = schedule.take_due(_MESSAGES, _BYTES)
        if taken:
            self._publish(taken)
        if time.monotonic() - self._pruned_at > _PRUNE_INTERVAL:
            self._pruned_at = time.monotonic()
            _prune()
        return len(taken) == _MESSAGES

    def _publish(self, taken: list[schedule.Waiting]) -> None:
        settings = get_settings()
        batches = sorted(
            cut(
                map(_encoded, taken),
                size=settings.MAILQUEUE_BATCH_SIZE,
                max_bytes=settings.MAILQUEUE_BATCH_BYTES,
            ),
            key=_urgency,
        )
        try:
            get_publisher().publish(batches)
        except EnqueueError as error:
            there = set(error.enqueued)
            schedule.published([waiting for waiting in taken if waiting.id in there])
            raise
        schedule.published(taken)


class _Way(msgspec.Struct):
    """Of an envelope, what decides where it goes; the rest is not looked at."""

    route: str = DEFAULT
    priority: Priority = "normal"


_way: Final = msgspec.json.Decoder(_Way)


def _encoded(waiting: schedule.Waiting) -> Encoded:
    try:
        way = _way.decode(waiting.document)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        way = _Way()  # a worker will set it aside
    return Encoded(waiting.id, waiting.document, way.route, way.priority)


def _urgency(batch: Sequence[Encoded]) -> int:
    return PRIORITIES.index(batch[0].priority)


def _prune() -> None:
    settings = get_settings()
    dropped = failed.prune(settings.MAILQUEUE_FAILED_MAX_AGE, settings.MAILQUEUE_FAILED_MAX_COUNT)
    if dropped:
        logger.warning(
            "the failed store is full or its mail too old: %d discarded "
            "(MAILQUEUE_FAILED_MAX_AGE, MAILQUEUE_FAILED_MAX_COUNT)",
            dropped,
        )


class PollerStep(bootsteps.StartStopStep):
    """Starts the poller after the pool: the first children are forked without its thread."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._poller: Poller | None = None

    def start(self, parent: Any) -> None:
        """Start with the worker."""
        del parent
        self._poller = Poller()
        self._poller.start()

    def stop(self, parent: Any) -> None:
        """Stop with the worker."""
        del parent
        if self._poller is not None:
            self._poller.stop()
