"""The book of what this process has taken from Redis and not yet acknowledged.

Each message has a lease in ``unacked_index``. Whoever finds one that was not renewed for
``visibility_timeout`` seconds gives its message out again: that worker is dead or cut off. A live
worker renews its leases, so the time may be short although a task runs long.
"""

import logging
from collections.abc import Iterable
from importlib import resources
from typing import Any, Final
from weakref import WeakSet

from celery.worker.state import active_requests
from kombu.transport import redis, virtual

_Base: Any = redis.QoS  # its stubs lack most of it

logger = logging.getLogger("mailqueue.worker")

#: Messages given back by one run of the script; Redis serves nobody else meanwhile.
_BATCH: Final = 100
_BATCHES: Final = 50

#: All books of the process: a task may outlive the channel that it came through.
_books: "WeakSet[QoS]" = WeakSet()
#: Acknowledged while the broker was away.
_late: set[str] = set()


def script(name: str) -> str:
    """Text of a Lua script."""
    return resources.files("worker").joinpath("lua", f"{name}.lua").read_text("utf-8")


class QoS(_Base):  # type: ignore[misc]  # see _Base
    """What one channel has handed out."""

    def __init__(self, channel: Any, prefetch_count: int = 0) -> None:
        super().__init__(channel, prefetch_count)
        self._keys = [channel.unacked_key, channel.unacked_index_key]
        register = channel.runner.register_script
        self._pop, self._restore, self._renew, self._forget = (
            register(script(name)) for name in ("pop", "restore", "renew", "forget")
        )
        _books.add(self)

    def pop(self, tag: str, lists: list[str]) -> Any:
        """Take a message under this tag: its list and its bytes, or None."""
        return self._pop(keys=[*self._keys, *lists], args=[tag])

    def append(self, message: Any, delivery_tag: str) -> None:
        """Hand out a message; the script that popped it has noted it in Redis."""
        virtual.QoS.append(self, message, delivery_tag)

    def has(self, tag: str) -> bool:
        """Whether this message was handed out to somebody who is to acknowledge it."""
        return tag in self._delivered

    def forget(self, *tags: str) -> None:
        """Remove these messages from Redis for good."""
        self._forget(keys=self._keys, args=tags)

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message, as soon as the broker is there: its work is done."""
        virtual.QoS.ack(self, delivery_tag)
        try:
            self.forget(delivery_tag)
        except self.channel.connection_errors as error:
            _late.add(delivery_tag)
            logger.warning("an acknowledgement waits for the broker (%s)", type(error).__name__)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Give a message back, behind the others so that it does not spin, or drop it.

        Where that fails, its lease is no longer renewed and it comes back by itself.
        """
        virtual.QoS.ack(self, delivery_tag)
        if requeue:
            self.restore_by_tag(delivery_tag, leftmost=True)
        else:
            self.forget(delivery_tag)

    def restore_by_tag(self, tag: str, client: Any = None, leftmost: bool = False) -> None:
        """Give one message back to its list, if it still is ours."""
        del client
        self._give_back([tag], "LPUSH" if leftmost else "RPUSH")

    def restore_unacked(self, client: Any = None) -> None:
        """Give everything back that is not acknowledged."""
        del client
        tags = self._unsettled()
        self._delivered.clear()
        if tags:
            self._give_back(tags, "RPUSH")

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """The channel ends: give back what has not begun.

        What runs goes on to run (a lost connection does not stop it), keeps its lease, and is
        acknowledged when it is done.
        """
        del stderr
        self._on_collect.cancel()
        if not self.restore_at_shutdown or not self.channel.do_restore:
            return
        waiting = set(self._unsettled()) - _running()
        if waiting:
            logger.info("%d messages that were not begun go back to the queue", len(waiting))
            # In their order. First from the book: where Redis is away, their leases will end.
            tags = [tag for tag in self._delivered if tag in waiting]
            for tag in tags:
                del self._delivered[tag]
            try:
                self._give_back(tags, "RPUSH")
            except self.channel.connection_errors as error:
                logger.info("they go back when their leases end (%s)", type(error).__name__)

    def restore_visible(
        self, start: int = 0, num: int | None = None, interval: int | None = 1
    ) -> None:
        """Give out again what dead workers had: whatever has a lease that ended."""
        del start
        self._vrestore_count += 1
        if (self._vrestore_count - 1) % (interval or 1):
            return
        limit = num or _BATCH
        for _ in range(_BATCHES):
            if self._give_back([], "RPUSH", self.visibility_timeout, limit) < limit:
                break

    def _give_back(
        self, tags: Iterable[str], side: str, lease: float | str = "", limit: int | str = ""
    ) -> int:
        strays = next(iter(self.channel.active_queues), "")
        done: int = self._restore(keys=self._keys, args=[side, strays, lease, limit, *tags])
        return done

    def renew_leases(self) -> None:
        """Renew the lease of everything this process holds, whichever channel it came through.

        And send the acknowledgements that waited for the broker.
        """
        late = list(_late)
        if late:
            self.forget(*late)
            _late.difference_update(late)
        tags = [tag for book in list(_books) for tag in book.held()]
        if tags:
            self._renew(keys=self._keys[1:], args=tags)

    def held(self) -> list[str]:
        """Tags to keep: what is not settled, and what an outstanding pop may have taken.

        Of a channel that was closed only what runs: the rest is nobody's.
        """
        if self.channel.closed:
            running = _running()
            return [tag for tag in self._unsettled() if tag in running]
        return [*self._unsettled(), self.channel.next_tag]

    def _unsettled(self) -> list[str]:
        # A pool's threads acknowledge meanwhile, which only ever adds to ``_dirty``.
        return [tag for tag in list(self._delivered) if tag not in self._dirty]


def _running() -> set[str]:
    return {request.message.delivery_tag for request in list(active_requests)}
