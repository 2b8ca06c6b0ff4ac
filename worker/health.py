"""What this worker says of itself: its status file, which probes read (``mailqueue.health``).

Three write into one status: the consumer, when it connects and when it takes mail; its main loop,
each time that it turns; and a thread, which asks the state store. A thread of its own writes the
file, so that a main loop that hangs is seen to hang.
"""

import atexit
import logging
import os
import threading
import time
from typing import Any, Final

import msgspec
from celery import bootsteps
from celery.concurrency.solo import TaskPool as SoloPool
from celery.signals import task_postrun, task_prerun, worker_shutting_down
from redis.exceptions import RedisError

from mailqueue.errors import MailQueueError
from mailqueue.health import Status, born, directory, file_of, forget_the_dead, is_private
from mailqueue.state import hasty_state

logger = logging.getLogger("mailqueue.worker")

#: Seconds between two entries, and between two turns of the loop that are noted.
_INTERVAL: Final = 2.0
#: Seconds between two questions to the state store.
_STORE_INTERVAL: Final = 5.0


class Reporter:
    """Keeps the status of this process, and its file.

    Args:
        name: The worker's, as Celery calls it.
    """

    def __init__(self, name: str) -> None:
        pid, now = os.getpid(), time.monotonic()
        self.status = Status(pid, born(pid) or 0, name, "connecting", loop_at=now, written_at=now)
        self._path = file_of(pid)
        self._changed = threading.Event()

    def start(self) -> None:
        """Begin to write, and to ask the state store, in threads."""
        if not self._prepare():
            logger.warning(
                "%s is not a directory of this user alone: `mailqueue health` knows nothing of "
                "this worker",
                directory(),
            )
            return
        forget_the_dead()
        self._write()
        atexit.register(self._remove)
        for target in (self._keep_writing, self._keep_asking):
            name = f"mailqueue-health-{target.__name__}"
            threading.Thread(target=target, name=name, daemon=True).start()

    def turned(self) -> None:
        """The main loop turns."""
        self.status.loop_at = time.monotonic()

    def consumes(self) -> None:
        """It takes mail from the queue from now on."""
        self.turned()
        if self.status.state != "stopping":
            self.status.state = "consuming"
            self._changed.set()

    def connects(self) -> None:
        """It has no connection to the broker, and tries to get one."""
        if self.status.state != "stopping":
            self.status.state = "connecting"
            self._changed.set()

    def stops(self) -> None:
        """It was told to stop."""
        # By a signal, perhaps: nothing that could wait for a lock.
        self.status.state = "stopping"

    def is_busy(self, *, busy: bool) -> None:
        """It begins, or has ended, a batch in its main process."""
        self.turned()
        self.status.is_busy = busy

    def now(self) -> Status:
        """The status; whoever asks within this process need not wait for the file."""
        return msgspec.structs.replace(self.status, written_at=time.monotonic())

    def _prepare(self) -> bool:
        try:
            directory().mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            return False
        return is_private(directory())

    def _keep_writing(self) -> None:
        while True:
            self._changed.wait(_INTERVAL)
            self._changed.clear()
            self._write()

    def _write(self) -> None:
        new = self._path.with_suffix(".new")
        try:
            new.write_bytes(msgspec.json.encode(self.now()))
            new.replace(self._path)
        except OSError as error:
            logger.debug("the status file cannot be written: %s", error.strerror)

    def _keep_asking(self) -> None:
        # Apart from the writing: looking up the store's address may take its time.
        while True:
            try:
                hasty_state().ping()
            except (RedisError, OSError, MailQueueError) as error:
                logger.debug("the state store does not answer: %s", type(error).__name__)
            else:
                self.status.store_at = time.monotonic()
            time.sleep(_STORE_INTERVAL)

    def _remove(self) -> None:
        if os.getpid() == self.status.pid:  # a forked child is to leave it alone
            self._path.unlink(missing_ok=True)


class HealthStep(bootsteps.StartStopStep):
    """Has the worker's status kept, from when its pool is there until its process ends."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._reporter = parent.reporter = Reporter(parent.hostname)

    def start(self, parent: Any) -> None:
        """Start with the worker."""
        self._reporter.start()
        # Not a method: signals do not keep those alive, and call them without a word else.
        worker_shutting_down.connect(self._stops, weak=False)
        if isinstance(parent.pool, SoloPool):
            task_prerun.connect(self._begins, weak=False)
            task_postrun.connect(self._has_ended, weak=False)

    def stop(self, parent: Any) -> None:
        """Say so; the file stays until the process ends."""
        del parent
        self._reporter.stops()

    def _stops(self, **_: Any) -> None:
        self._reporter.stops()

    def _begins(self, **_: Any) -> None:
        self._reporter.is_busy(busy=True)

    def _has_ended(self, **_: Any) -> None:
        self._reporter.is_busy(busy=False)


class ConsumingStep(bootsteps.StartStopStep):
    """Notes when the consumer takes mail, and each turn of its loop; the last step before that."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._reporter: Reporter = parent.controller.reporter
        self._turning: Any = None

    def start(self, parent: Any) -> None:
        """Start with the consumer, each time that it has connected."""
        self._reporter.consumes()
        self._turning = parent.timer.call_repeatedly(_INTERVAL, self._reporter.turned)

    def stop(self, parent: Any) -> None:
        """Stop with the consumer: the connection is lost, or the worker stops."""
        if self._turning is not None:
            parent.timer.cancel(self._turning)
            self._turning = None
        self._reporter.connects()
