"""Real worker processes: to start, to kill whole or in part, never to leave behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final, Self

import psutil  # type: ignore[import-untyped]

from support.processes import environment

#: Mails that a worker hands over at a time: processes or threads of its pool.
CONCURRENCY: Final = 2
#: Its start's output, in which it says that it is ready.
_START: Final = 65_536


class Member:
    """A worker: a process group of its own, and a log file."""

    def __init__(self, pool: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.pool = pool
        self.process = process
        self.log = log
        self._ready = False

    @property
    def ready(self) -> bool:
        """Whether it has begun to take mail."""
        if not self._ready:
            with self.log.open("rb") as log:
                self._ready = b" ready." in log.read(_START)
        return self._ready

    def kill(self) -> None:
        """SIGKILL for the worker and all its children at once."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def children(self) -> list[int]:
        """The pool's processes."""
        return [child.pid for child in psutil.Process(self.process.pid).children()]

    def kill_child(self, pid: int) -> None:
        """SIGKILL for one of them; the worker starts another by itself."""
        os.kill(pid, signal.SIGKILL)


class Fleet:
    """Workers that run side by side; leaving the context kills what is left of them."""

    def __init__(self, settings: dict[str, str], directory: Path) -> None:
        self.members: list[Member] = []
        self._settings = settings
        self._directory = directory
        self._started = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill_all()

    def start(self, pool: str) -> None:
        """Start a worker; it is ready some seconds later."""
        self._started += 1
        log = self._directory / f"worker-{self._started:03}-{pool}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "mailqueue", "worker", "--pool", pool,
                 "--concurrency", str(CONCURRENCY), "--loglevel", "INFO",
                 "--hostname", f"killed{self._started}@%h"],
                env=environment(self._settings),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # killed as a group, and deaf to Ctrl-C of ours
            )  # fmt: skip
        self.members.append(Member(pool, process, log))

    def ready(self) -> list[Member]:
        """Those that can be killed in the midst of their work."""
        self.check()
        return [member for member in self.members if member.ready]

    def replace(self, member: Member) -> None:
        """Kill a worker and start another in its place."""
        member.kill()
        self.members.remove(member)
        self.start(member.pool)

    def kill_all(self) -> None:
        """SIGKILL for everyone."""
        while self.members:
            self.members.pop().kill()

    def check(self) -> None:
        """Fail where a worker ended that nobody had killed."""
        for member in self.members:
            status = member.process.poll()
            assert status is None, f"a worker ended by itself ({status}), see {member.log}"
