"""Keeping the leases of this process's runs alive: one thread a process, while there is a run.

The leases tell other workers that a batch which was delivered to them, too, is in good hands
(``mailqueue.ledger``). A killed process takes its thread with it, and its leases run out.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from redis.exceptions import RedisError

from mailqueue import ledger

logger = logging.getLogger("mailqueue.worker")

#: Renewals within the time of one lease.
_PER_LEASE = 4


class Heartbeat:
    """Renews leases until told to stop. Threads may share it; a forked child needs its own."""

    def __init__(self) -> None:
        self._runs: set[str] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextmanager
    def keeping(self, run: str) -> Iterator[None]:
        """Renew the lease of ``run`` within the block."""
        with self._changed:
            self._runs.add(run)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._beat, name="mailqueue-heartbeat", daemon=True
                )
                self._thread.start()
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._runs.discard(run)

    def _beat(self) -> None:
        while True:
            with self._changed:
                while not self._runs:
                    self._changed.wait()
            # A claim brings a lease with it, and most runs are over before their first renewal.
            time.sleep(ledger.lease_seconds() / _PER_LEASE)
            with self._changed:
                runs = sorted(self._runs)
            try:
                if runs:
                    ledger.renew(runs)
            except RedisError as error:
                # The next beat tries again; a lease that ran out costs a message sent twice at
                # the worst, and only if another worker gets the same batch.
                logger.debug("leases not renewed: %s", type(error).__name__)


_heartbeat = Heartbeat()


def keeping(run: str) -> AbstractContextManager[None]:
    """Renew the lease of ``run`` within the block, by this process's heartbeat."""
    return _heartbeat.keeping(run)


def _after_fork() -> None:
    global _heartbeat  # noqa: PLW0603 - threads do not survive a fork
    _heartbeat = Heartbeat()


os.register_at_fork(after_in_child=_after_fork)
