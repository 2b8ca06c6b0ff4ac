"""Starting a keeper, with nothing of this process but what it needs; and saying why it failed."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from mailqueue.embedded import paths, server
from mailqueue.errors import EmbeddedError

JOIN_SECONDS: Final = 15.0  # for a server that is just stopping, or starting
_LOG_BYTES: Final = 1 << 20  # a longer log is put aside at the next start

# What an interpreter and a server need to run. All else stays here: it may hold passwords.
_ENVIRONMENT: Final = frozenset(
    {
        "DYLD_FALLBACK_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
        "HOME",
        "LANG",
        "LANGUAGE",
        "LC_ALL",
        "LC_CTYPE",
        "LD_LIBRARY_PATH",
        "LOGNAME",
        "PATH",
        "PYTHONHOME",
        "PYTHONNOUSERSITE",
        "PYTHONPATH",
        "PYTHONUSERBASE",
        "TMPDIR",
        "TZ",
        "USER",
        "VIRTUAL_ENV",
        "__PYVENV_LAUNCHER__",
    }
)


def start_keeper(directory: Path, socket: Path, lock: int) -> None:
    """Start a keeper that inherits ``keeper.lock``; it has detached itself when this returns.

    Args:
        directory: The server's data.
        socket: Where the server is to listen.
        lock: ``keeper.lock``, held; the caller closes its own copy afterwards.

    Raises:
        EmbeddedError: There is no binary, no place for the socket, or no end of starting.
        OSError: The log or the interpreter cannot be opened.
    """
    if not sys.executable:
        raise EmbeddedError(f"no Python interpreter to start the embedded Redis: {paths.REMEDY}")
    binary = server.binary()
    paths.prepare_socket(socket, directory)
    log = directory / paths.LOG
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    environment = {name: os.environ[name] for name in _ENVIRONMENT & os.environ.keys()}
    # This package may be found through the working directory or an import hook, unlike there.
    root = str(Path(__file__).parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [environment.get("PYTHONPATH"), root]))
    module = "mailqueue.embedded.keeper"
    arguments = [os.fspath(directory), os.fspath(socket), os.fspath(binary), str(lock)]
    mode = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    output = os.open(log, mode, 0o600)
    try:
        subprocess.run(  # noqa: S603 - our own module, no shell
            [sys.executable, "-P", "-m", module, *arguments],
            check=False,  # a failure shows as a free keeper.lock, with the reason in the log
            cwd=directory,
            env=environment,
            pass_fds=(lock,),
            start_new_session=True,  # Ctrl-C in the terminal is not for it
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=JOIN_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise failure(directory, "did not start in time") from None
    finally:
        os.close(output)


def failure(directory: Path, what: str) -> EmbeddedError:
    """The error that says ``what`` the server of ``directory`` does, with the end of its log."""
    words = server.last_words(directory)
    log = f"\nThe end of {directory / paths.LOG}:\n{words}" if words else ""
    return EmbeddedError(f"the embedded Redis in {directory} {what}: {paths.ELSEWHERE}{log}")
