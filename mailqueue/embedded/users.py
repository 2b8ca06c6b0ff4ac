"""This process as a user of the embedded server: joins it, and starts it where needed."""

import logging
import os
import threading
import time
from pathlib import Path
from typing import Final, NamedTuple

from mailqueue.embedded import locks, paths, server
from mailqueue.embedded.server import State
from mailqueue.embedded.starting import JOIN_SECONDS, failure, start_keeper
from mailqueue.errors import EmbeddedError

_LOAD_SECONDS: Final = 120.0  # for one that says it is reading its data
_POLL: Final = 0.01  # seconds

_logger = logging.getLogger("mailqueue.embedded")


class _Use(NamedTuple):
    """What makes this process a user: ``fd`` is ``users.lock``, held shared."""

    fd: int
    url: str


_uses: dict[Path, _Use] = {}
_announced: set[Path] = set()
_mutex = threading.Lock()


def url_for(url: str) -> str:
    """Make sure that the embedded server runs, and use it until this process ends.

    Called again it costs some microseconds, and revives what was killed from outside.

    Args:
        url: ``embedded://`` for the user's data directory, or ``embedded:///DIR``.

    Returns:
        The server's URL as kombu and Celery read it: ``redis+socket:///DIR/redis.sock``.

    Raises:
        EmbeddedError: The server cannot run here; the text says why and what to do.
    """
    if not locks.SUPPORTED:
        raise EmbeddedError(f"the embedded Redis needs Linux or macOS: {paths.REMEDY}")
    directory = paths.directory_of(url)
    with _mutex:
        use = _uses.get(directory)
        try:
            if use is None or not locks.is_open(use.fd, directory / paths.USERS_LOCK):
                use = _uses[directory] = _join(directory)
            else:
                _ensure(directory)
        except OSError as error:
            raise EmbeddedError(
                f"the embedded Redis cannot use {directory} ({error}): {paths.ELSEWHERE}"
            ) from error
        first = directory not in _announced
        _announced.add(directory)
    if first:  # outside the mutex: a log handler may send mail, and so come here again
        _logger.warning(
            "Using the embedded Redis, which is not for production; its data is in %s. "
            "Set MAILQUEUE_BROKER_URL to use a Redis or RabbitMQ instead.",
            directory,
        )
    return use.url


def release(url: str) -> None:
    """Stop being a user of the server of ``url``; no harm when this process is none.

    Children forked before stay users.
    """
    directory = paths.directory_of(url)
    with _mutex:
        use = _uses.pop(directory, None)
        if use is not None and locks.is_open(use.fd, directory / paths.USERS_LOCK):
            locks.close(use.fd)


def wait_until_stopped(url: str, *, seconds: float) -> bool:
    """Wait for the end of the server of ``url``, for a program that leaves nothing behind.

    Returns whether it has ended within ``seconds``; it does not while anybody uses it.
    """
    # The keeper lets go of its lock last of all, after the server's end.
    fd = locks.lock(paths.directory_of(url) / paths.KEEPER_LOCK, seconds=seconds)
    if fd is not None:
        locks.close(fd)
    return fd is not None


def _join(directory: Path) -> _Use:
    server.check_installed()
    paths.prepare(directory)
    fd = locks.lock(directory / paths.USERS_LOCK, shared=True, seconds=JOIN_SECONDS)
    if fd is None:
        raise failure(directory, f"is stopping, and has not ended within {JOIN_SECONDS:.0f} s")
    try:
        _ensure(directory, joining=True)
    except BaseException:
        locks.close(fd)
        raise
    locks.keep(fd)
    return _Use(fd, paths.url_of(paths.socket_of(directory)))


def _ensure(directory: Path, *, joining: bool = False) -> None:
    """See to it that a keeper is there and, when joining or starting one, that the server answers.

    Called while this process holds ``users.lock``, so no keeper stops the server meanwhile.
    """
    socket = paths.socket_of(directory)
    start = time.monotonic()
    limit = JOIN_SECONDS
    started = False
    while True:
        fd = locks.try_lock(directory / paths.KEEPER_LOCK)
        if fd is not None:  # nobody looks after the server
            try:
                if started:
                    raise failure(directory, "did not start")
                start_keeper(directory, socket, fd)
                started = True
            finally:
                locks.close(fd)
        elif not (joining or started):
            return
        state = server.ping(socket)
        if state is State.READY:
            return
        if state is State.LOADING:
            limit = _LOAD_SECONDS
        if time.monotonic() - start > limit:
            raise failure(directory, f"does not answer at {socket} within {limit:.0f} s")
        time.sleep(_POLL)


def _new_mutex_in_child() -> None:
    global _mutex  # noqa: PLW0603 - a thread that does not exist in the child may hold the old one
    _mutex = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_mutex_in_child)
