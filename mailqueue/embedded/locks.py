"""Advisory file locks that the kernel drops when their last holder ends.

A lock belongs to the open file, which ``fork`` and ``pass_fds`` share. It is therefore only ever
given back by closing: ``LOCK_UN`` would take it from the other holders as well.
"""

import os
import time
from pathlib import Path
from typing import Final

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SUPPORTED: Final = fcntl is not None

_POLL: Final = 0.01  # seconds

# Locks on their way to somebody else: a forked child must not keep them alive by accident.
_passing: set[int] = set()


def try_lock(path: Path, *, shared: bool = False) -> int | None:
    """Lock ``path``, or return None when somebody else holds it.

    Args:
        path: The lock file; created when missing, readable by its owner only.
        shared: Whether other shared holders are fine.

    Returns:
        The open file's descriptor: ``close`` it to give the lock back.

    Raises:
        OSError: The file cannot be opened, or its file system knows no locks.
    """
    return lock(path, shared=shared, seconds=0)


def lock(path: Path, *, shared: bool = False, seconds: float) -> int | None:
    """Like ``try_lock``, trying again for ``seconds``."""
    operation = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
    deadline = time.monotonic() + seconds
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    _passing.add(fd)
    try:
        while True:
            try:
                fcntl.flock(fd, operation)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    close(fd)
                    return None
            else:
                return fd
            time.sleep(_POLL)
    except BaseException:
        if fd in _passing:
            close(fd)
        raise


def keep(fd: int) -> None:
    """Let children that are forked from now on share this lock."""
    _passing.discard(fd)


def close(fd: int) -> None:
    """Give up this process's share of a lock."""
    _passing.discard(fd)
    os.close(fd)


def is_open(fd: int, path: Path) -> bool:
    """Whether ``fd`` still is the open file ``path``: daemons close what they do not know."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except OSError:
        return False


def _forget_in_child() -> None:
    for fd in tuple(_passing):
        close(fd)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
