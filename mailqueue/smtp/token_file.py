"""The file that the processes of one user on one machine share a token by.

``$XDG_STATE_HOME/mailqueue/oauth``, by default ``~/.local/state/mailqueue/oauth``, holds for each
account a ``.json`` file and the ``.lock`` beside it that decides who fetches. The token is in
clear, as a key in ``~/.ssh`` is: the directory is 0700, its files are 0600, and the directory is
refused where it belongs to somebody else or is open to others. It is state and no cache: with a
provider that gives a new refresh token each time, the newest one is here only, so it is on the
disk (fsync) before it is used.
"""

import hashlib
import logging
import os
from pathlib import Path

import msgspec

from mailqueue.embedded import locks
from mailqueue.embedded.paths import prepare
from mailqueue.errors import EmbeddedError
from mailqueue.smtp.token import Token

_logger = logging.getLogger("mailqueue.smtp")


class BusyError(Exception):
    """Another process has been fetching for all the time there was to wait."""


class TokenFile:
    """One account's token on disk. Where there is no private place for it: nothing, with a warning.

    Args:
        identity: What tells accounts apart; only a digest of it becomes the file's name.
    """

    def __init__(self, *identity: str) -> None:
        self._name = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:32]
        self._warned = False

    def lock(self, seconds: float) -> int | None:
        """Become the only process that reads, fetches and writes; ``unlock()`` ends it.

        Returns None where nothing can be shared.

        Raises:
            BusyError: Another process has been at it for these seconds.
        """
        if not locks.SUPPORTED:
            return None
        try:
            directory = _directory()
            prepare(directory)
            fd = locks.lock(directory / f"{self._name}.lock", seconds=seconds)
        except (OSError, EmbeddedError, RuntimeError) as error:
            self._warn("is not a private directory that can be used", error)
            return None
        if fd is None:
            raise BusyError
        return fd

    def unlock(self, fd: int | None) -> None:
        """Let the next process in."""
        if fd is not None:
            locks.close(fd)

    def read(self) -> Token | None:
        """The token; None where there is none, or a damaged one. Holders of the lock only."""
        try:
            return msgspec.json.decode(self._path().read_bytes(), type=Token)
        except (OSError, msgspec.MsgspecError, ValueError, RuntimeError):
            return None

    def write(self, token: Token) -> None:
        """Replace the token, as a whole or not at all. Holders of the lock only."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            path = self._path()
            new = path.with_suffix(".new")  # one name: a crash leaves no litter that holds tokens
            with open(os.open(new, flags, 0o600), "wb") as file:  # noqa: PTH123 - with this mode
                os.fchmod(file.fileno(), 0o600)
                file.write(msgspec.json.encode(token))
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except (OSError, RuntimeError) as error:
            self._warn("cannot be written to", error)

    def _path(self) -> Path:
        return _directory() / f"{self._name}.json"

    def _warn(self, what: str, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            reason = getattr(error, "strerror", None) or type(error).__name__
            _logger.warning(
                "the directory for OAuth tokens ($XDG_STATE_HOME/mailqueue/oauth) %s (%s): each"
                " process fetches tokens for itself, and forgets renewed refresh tokens at its end",
                what,
                reason,
            )


def _directory() -> Path:
    """Raise RuntimeError where nobody knows this user's home."""
    given = os.environ.get("XDG_STATE_HOME", "")
    state = Path(given) if given.startswith("/") else Path.home() / ".local" / "state"
    return state / "mailqueue" / "oauth"
