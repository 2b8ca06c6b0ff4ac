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

from mailqueue import leases, ledger

logger = logging.getLogger("mailqueue.worker")

#: Renewals within the time of one lease.
_PER_LEASE = 4


class Heartbeat:
    """Renews leases until told to stop. Threads may share it; a forked child needs its own."""

    def __init__(self) -> None:
        #: Runs, and the route whose connection each holds; empty: no limit on connections.
        self._runs: dict[str, str] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextmanager
    def keeping(self, run: str, connection_of: str = "") -> Iterator[None]:
        """Renew the lease of ``run`` within the block, and that of its connection of a route."""
        with self._changed:
            before = self._runs.get(run)
            self._runs[run] = connection_of
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
                if before is None:
                    del self._runs[run]
                else:
                    self._runs[run] = before

    def _beat(self) -> None:
        while True:
            with self._changed:
                while not self._runs:
                    self._changed.wait()
            # A claim brings a lease with it, and most runs are over before their first renewal.
            time.sleep(ledger.lease_seconds() / _PER_LEASE)
            with self._changed:
                runs = dict(self._runs)
            try:
                if runs:
                    ledger.renew(list(runs))
                for route in set(runs.values()) - {""}:
                    holders = [run for run, connection_of in runs.items() if connection_of == route]
                    leases.renew(route, holders, ledger.lease_seconds())
            except RedisError as error:
                # The next beat tries again; a lease that ran out costs a message sent twice at
                # the worst, and only if another worker gets the same batch.
                logger.debug("leases not renewed: %s", type(error).__name__)


_heartbeat = Heartbeat()


def keeping(run: str, connection_of: str = "") -> AbstractContextManager[None]:
    """Renew the lease of ``run`` within the block, and that of its connection of a route."""
    return _heartbeat.keeping(run, connection_of)


def _after_fork() -> None:
    global _heartbeat  # noqa: PLW0603 - threads do not survive a fork
    _heartbeat = Heartbeat()


os.register_at_fork(after_in_child=_after_fork)
