"""Real processes: a worker, a program that sends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mailqueue.settings import NAMES


def environment(settings: dict[str, str]) -> dict[str, str]:
    """This process's environment with exactly these settings."""
    inherited = {name: value for name, value in os.environ.items() if name not in NAMES}
    return inherited | settings


def python(code: str, settings: dict[str, str], **options) -> subprocess.CompletedProcess[str]:
    """Run a program and return what it printed; a failure shows its output."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(settings),
        text=True,
        capture_output=True,
        timeout=options.pop("timeout", 60),
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stderr
    return done


class Worker:
    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8", "replace")


@contextmanager
def worker(
    settings: dict[str, str], log: Path, *options: str, command: tuple[str, ...] = ()
) -> Iterator[Worker]:
    """A worker process that is ready; ended with SIGTERM, and it must obey."""
    command = command or (sys.executable, "-m", "mailqueue", "worker")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--loglevel", "INFO", "--concurrency", "2", *options],
            env=environment(settings),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    running = Worker(process, log)
    try:
        until(
            lambda: " ready." in running.log or process.poll() is not None, 30, lambda: running.log
        )
        assert process.poll() is None, running.log
        yield running
    finally:
        process.terminate()
        try:
            process.wait(45)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise AssertionError(f"the worker did not stop:\n{running.log[-3000:]}") from None


def until(
    condition: Callable[[], object], seconds: float = 30, explain: Callable[[], object] = str
) -> None:
    """Wait for a condition; poll often, fail with an explanation."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {explain()}")
        time.sleep(0.05)
