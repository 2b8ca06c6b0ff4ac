"""Who asks for a token when: one thread of one process of a machine, and the others use its answer.

A token is looked for in memory, then in the file that this user's processes share
(``token_file.py``), and fetched only where neither holds one that is fresh. Who fetches holds the
file's lock, so a fleet that finds a token expired asks once, not once each.

A fork may come at any time: the child gets locks of its own, and keeps the token.
"""

import os
import threading
import time
from collections.abc import Callable
from typing import Final

from mailqueue.routing.route import OAuth
from mailqueue.smtp.oauth import TIMEOUT, TokenUnavailableError, fetch
from mailqueue.smtp.token import Token, origin_of
from mailqueue.smtp.token_file import BusyError, TokenFile

#: Seconds to wait for another thread and another process together: one fetch, and some more.
_PATIENCE: Final = TIMEOUT + 2


class Tokens:
    """The access tokens of one account.

    Args:
        oauth: Where they come from; see ``oauth_options.checked()``.
        username: Whom they let in.
        clock: Seconds since the epoch, the same for all processes.
    """

    def __init__(
        self, oauth: OAuth, username: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._oauth = oauth
        self._origin = origin_of(oauth.refresh_token)
        self._file = TokenFile(oauth.token_url, oauth.client_id, username, oauth.scope)
        self._clock = clock
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._refused = ""

    def get(self) -> str:
        """Return an access token that should be good.

        Raises:
            TokenUnavailableError: None could be had now.
            TokenRefusedError: The endpoint said no.
        """
        deadline = time.monotonic() + _PATIENCE
        lock = self._lock
        if not lock.acquire(timeout=_PATIENCE):
            raise _busy()
        try:
            token = self._token
            if token is None or not self._is_fresh(token):
                token = self._token = self._renewed(deadline)
        finally:
            lock.release()
        return token.access_token

    def forget(self, access_token: str) -> None:
        """Do not hand this one out again: a server did not take it."""
        self._refused = access_token

    def after_fork(self) -> None:
        """In a child: another thread of the parent may have held the lock for good."""
        self._lock = threading.Lock()

    def _renewed(self, deadline: float) -> Token:
        try:
            fd = self._file.lock(max(0.0, deadline - time.monotonic()))
        except BusyError:
            raise _busy() from None
        try:
            kept = self._newest(self._file.read() if fd is not None else None)
            if kept is not None and self._is_fresh(kept):
                return kept
            token = self._fetched(kept)
            if fd is not None and token is not kept:
                self._file.write(token)
            return token
        finally:
            self._file.unlock(fd)

    def _newest(self, shared: Token | None) -> Token | None:
        """Of the file's token and memory's: the file may not have been written to."""
        known = [
            token
            for token in (self._token, shared)
            if token is not None and token.origin == self._origin
        ]
        return max(known, key=lambda token: token.fetched_at, default=None)

    def _fetched(self, kept: Token | None) -> Token:
        try:
            token = fetch(self._oauth, kept.refresh_token if kept else "")
        except TokenUnavailableError:
            # Replaced early, so there is some time left to use the old one.
            if kept and kept.access_token != self._refused and kept.is_valid(self._clock()):
                return kept
            raise
        self._refused = ""
        return token

    def _is_fresh(self, token: Token) -> bool:
        return token.access_token != self._refused and token.is_fresh(self._clock())


_all: dict[tuple[OAuth, str], Tokens] = {}


def tokens_for(oauth: OAuth, username: str) -> Tokens:
    """Return this process's tokens for an account."""
    key = (oauth, username)
    # One step, so that threads agree on one object.
    return _all.get(key) or _all.setdefault(key, Tokens(oauth, username))


def _busy() -> TokenUnavailableError:
    return TokenUnavailableError(f"somebody else has been asking for a token for {_PATIENCE:.0f} s")


def _after_fork() -> None:
    for tokens in list(_all.values()):
        tokens.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
