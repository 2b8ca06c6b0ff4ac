"""A few threads of our own, in which calls that block may do so.

Not the event loop's default executor: that looks up names and reads files for the whole
application, and a broker that is away would fill it with calls that wait for their time-out.

Bounded twice. There are so many threads and no more; and a call that finds all of them busy waits
only as long as others get on. Where none has come to a good end for a while, what they wait for is
away, and so it is said at once, not after everybody who was first has waited his time-out.
"""

import asyncio
import os
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")


class BusyError(Exception):
    """All threads are busy, and none gets on; the call was not begun."""


class Threads:
    """Runs calls in at most ``size`` threads, made when they are first needed.

    Args:
        name: Begins the threads' names.
        size: How many there are at the most.
    """

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = size
        self._pool: ThreadPoolExecutor | None = None
        #: ``time.monotonic()`` of the last call that came to a good end.
        self._progress: float = 0.0
        _all.add(self)

    async def run(self, call: Callable[[], T], patience: float) -> T:
        """Run ``call`` in a thread and return its result, or raise what it raises.

        A call that waits for a thread is dropped when the awaiting task is cancelled; one that has
        a thread goes on to its end.

        Args:
            call: What to run.
            patience: Seconds without progress of others that it waits for a thread.

        Raises:
            BusyError: It did not get one.
        """
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._size, self._name)
        running = self._pool.submit(self._noted, call)
        awaited = asyncio.wrap_future(running)
        came = time.monotonic()
        try:
            while not (running.running() or running.done()):
                left = max(came, self._progress) + patience - time.monotonic()
                if left <= 0 and running.cancel():
                    raise BusyError(
                        f"all {self._size} threads of mailqueue.aio are busy, and none has got on "
                        f"for {patience:g} s"
                    )
                await asyncio.wait({awaited}, timeout=max(left, 0.0))
            return await awaited
        except asyncio.CancelledError:
            awaited.cancel()
            raise

    def _noted(self, call: Callable[[], T]) -> T:
        result = call()
        self._progress = time.monotonic()
        return result

    def forget(self) -> None:
        """Leave the threads behind: a forked child has none of its parent's."""
        self._pool = None


_all: Final[weakref.WeakSet[Threads]] = weakref.WeakSet()


def _forget_after_fork() -> None:
    for threads in _all:
        threads.forget()


os.register_at_fork(after_in_child=_forget_after_fork)
