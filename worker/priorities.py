"""Which queue is looked at first: the more urgent one, except where another has waited its share.

``Turns`` decides. On Redis the channel asks it before each message that it takes. RabbitMQ counts
what it sends in advance for each queue apart (quorum queues know no common limit): of each, as
many batches as the worker has processes. There they wait in a ``WaitingRoom`` for a free one, and
it asks as well.

The promise, under load without end, for each worker: of ten batches that it begins, one at the
least is bulk; of six, one at the least is normal.
"""

from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from celery import bootsteps
from celery.worker.components import Pool

from mailqueue.broker import PRIORITIES, queue_name
from mailqueue.conf import get_settings
from mailqueue.envelope import Priority

#: How many messages may be taken before a queue that was not looked at meanwhile is the first.
_PATIENCE: Final[dict[Priority, int]] = {"normal": 4, "bulk": 9}


class Turns:
    """The order in which queues are looked at, with the methods that kombu's channel calls.

    A queue is passed over when a message was found before the queue was looked at. So nothing is
    owed to an empty queue, nor to one that is served anyway: among bulk alone, the next high mail
    is the next.
    """

    def __init__(self) -> None:
        #: Names, and how often in a row each was passed over; the most urgent first.
        self._passed: dict[str, int] = {}
        self._order: list[str] = []

    def update(self, names: Iterable[str]) -> None:
        """Look at these queues from now on."""
        urgency = {name: PRIORITIES.index(priority_of(name)) for name in names}
        self._passed = {
            name: self._passed.get(name, 0) for name in sorted(urgency, key=urgency.__getitem__)
        }

    @property
    def first(self) -> str:
        """The most urgent queue."""
        return next(iter(self._passed))

    def consume(self, count: int) -> list[str]:
        """The queues, as many as are asked for, in the order to look at them now."""
        due = [name for name, passed in self._passed.items() if passed >= _patience(name)]
        others = [name for name in self._passed if name not in due]
        # Of several that are due, the least urgent: its share is the smaller one.
        self._order = [*reversed(due), *others][:count]
        return list(self._order)

    def rotate(self, taken: str) -> None:
        """A message was found there; the queues behind it were not looked at."""
        if taken not in self._order:
            return
        at = self._order.index(taken)
        for name in self._passed:
            looked_at = name in self._order[: at + 1]
            self._passed[name] = 0 if looked_at else self._passed[name] + 1


def _patience(name: str) -> float:
    return _PATIENCE.get(priority_of(name), float("inf"))


def priority_of(queue: str) -> Priority:
    """The priority of what is in this queue; a queue of somebody else's is as good as normal."""
    own = get_settings().MAILQUEUE_QUEUE
    return next((known for known in PRIORITIES if queue == queue_name(own, known)), "normal")


class WaitingRoom:
    """Where batches wait for a free process, in Celery's own words for it (those of a deque)."""

    def __init__(self) -> None:
        self._turns = Turns()
        self._waiting: dict[str, deque[Any]] = {}

    def append(self, waiter: Any) -> None:
        """One more: a function and its arguments, which begin with the request."""
        _, (request, *_), _ = waiter
        queue = str((request.delivery_info or {}).get("routing_key", ""))
        if queue not in self._waiting:
            self._waiting[queue] = deque()
            self._turns.update(self._waiting)
        self._waiting[queue].append(waiter)

    def popleft(self) -> Any:
        """The next one. Raises ``IndexError`` where nobody waits."""
        for queue in self._turns.consume(len(self._waiting)):
            if self._waiting[queue]:
                self._turns.rotate(queue)
                return self._waiting[queue].popleft()
        raise IndexError("nobody waits")

    def clear(self) -> None:
        """Send all away; the broker gives them out again."""
        for line in self._waiting.values():
            line.clear()

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))


class WaitingRoomStep(bootsteps.Step):
    """Puts a ``WaitingRoom`` before the pool, where Celery has a queue without priorities.

    Only a pool of processes has such a place. Threads begin with what came first, so with RabbitMQ
    the three priorities share them equally: a high mail waits for some batches more, not for all.
    """

    # The class, not its name: Celery resolves names only of steps that it was given itself.
    requires = (Pool,)

    def create(self, parent: Any) -> None:
        """Furnish the semaphore, before the first batch comes."""
        if parent.semaphore is not None:
            room = WaitingRoom()
            parent.semaphore._waiting = room  # noqa: SLF001 - there is no public way
            parent.semaphore._add_waiter = room.append  # noqa: SLF001
            parent.semaphore._pop_waiter = room.popleft  # noqa: SLF001
