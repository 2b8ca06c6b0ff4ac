"""What runs in a container, by its image's name: how each is started here, without the image."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from support import leash
from support.brokers import redis_binary
from support.outages import LOCALHOST, fixed_port
from support.private_rabbitmq import PrivateRabbitMQ
from support.processes import environment, until


class Program(ABC):
    """A server or worker that can be stopped, killed and started again with its data.

    Attributes:
        ports: Of the container, to those of this machine.
    """

    ports: Mapping[int, int] = {}

    @abstractmethod
    def start(self) -> None:
        """Start it; return when it serves, or has ended."""

    @abstractmethod
    def stop(self, seconds: float) -> None:
        """SIGTERM; after so many seconds, SIGKILL. Return when it has ended."""

    @abstractmethod
    def kill(self, number: int) -> None:
        """Send a signal to the main process; SIGKILL ends what else runs in the container."""

    @abstractmethod
    def ended(self) -> int | None:
        """How it ended, in the shell's numbers; None while it runs."""

    @abstractmethod
    def log(self) -> bytes:
        """All it said, over all its starts."""

    @abstractmethod
    def close(self) -> None:
        """End it and remove its data."""


class Process(Program):
    """A process group with a directory.

    Args:
        ready: What it says when it is.
    """

    def __init__(self, ready: bytes) -> None:
        self._ready = ready
        self.directory = Path(tempfile.mkdtemp(prefix="mq"))
        self.command: Sequence[str] = ()
        self.environment: Mapping[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        before = len(self.log())
        with (self.directory / "log").open("ab") as log:
            self._process = process = subprocess.Popen(
                self.command,
                env=self.environment,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        leash.hold(process)
        until(lambda: process.poll() is not None or self._ready in self.log()[before:], 60)

    def stop(self, seconds: float) -> None:
        if self._process:
            self.kill(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
            self.kill(signal.SIGKILL)

    def kill(self, number: int) -> None:
        if not self._process:
            return
        if number != signal.SIGKILL:
            self._process.send_signal(number)
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        leash.release(self._process)

    def ended(self) -> int | None:
        code = self._process.poll() if self._process else 0
        return code if code is None or code >= 0 else 128 - code

    def log(self) -> bytes:
        path = self.directory / "log"
        return path.read_bytes() if path.exists() else b""

    def close(self) -> None:
        self.kill(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)


class Redis(Process):
    """With the options of the container's command, on a port and in a directory of its own."""

    def __init__(self, command: Sequence[str], given: Mapping[str, str]) -> None:
        super().__init__(b"eady to accept connections")
        port = fixed_port()
        self.ports = {6379: port}
        self.environment = environment(dict(given))
        self.command = [
            redis_binary(), *command[1:], "--port", str(port), "--bind", LOCALHOST,
            "--dir", str(self.directory),
        ]  # fmt: skip


class Worker(Process):
    """``mailqueue`` of this checkout, as the image's entry point calls it."""

    def __init__(self, command: Sequence[str], given: Mapping[str, str]) -> None:
        super().__init__(b" ready.")
        self.environment = environment(dict(given))
        self.command = [sys.executable, "-m", "mailqueue", *command]


class RabbitMQ(Program):
    """A private node."""

    def __init__(self, command: Sequence[str], given: Mapping[str, str]) -> None:
        del command, given
        self._node = PrivateRabbitMQ()
        self.ports = {5672: self._node.port}
        self._began = False

    def start(self) -> None:
        if self._began:
            self._node.start()
        else:
            self._began = True
            self._node.__enter__()

    def stop(self, seconds: float) -> None:
        del seconds  # it has a limit of its own
        self._node.stop()

    def kill(self, number: int) -> None:
        if number == signal.SIGKILL:
            self._node.kill()
        elif number == signal.SIGTERM:
            self._node.stop()
        else:
            raise ValueError(f"a RabbitMQ node is stopped or killed, not sent signal {number}")

    def ended(self) -> int | None:
        return None if self._node.runs else 0

    def log(self) -> bytes:
        return self._node.log.encode()

    def close(self) -> None:
        self._node.__exit__()


#: By the image's name, without its tag.
PROGRAMS: Mapping[str, type[Redis | RabbitMQ | Worker]] = {
    "redis": Redis,
    "rabbitmq": RabbitMQ,
    "mailqueue-smoke": Worker,
}
