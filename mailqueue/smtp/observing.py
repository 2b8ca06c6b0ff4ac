"""Telling whoever counts how an SMTP server answers. Where nobody does, it costs a look-up.

One observer for each thread or task of asyncio: a worker's threads work for different routes.
"""

import smtplib
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, Protocol

from mailqueue.errors import MailQueueError

#: Why a connection could not be opened.
Trouble = Literal["unreachable", "timeout", "tls", "refused", "login"]


class Observer(Protocol):
    """Who counts."""

    def opened(self, seconds: float) -> None:
        """A connection was made, secured and logged in, in so many seconds."""

    def not_opened(self, trouble: Trouble, code: int) -> None:
        """A connection was not; ``code`` is the reply's, 0 where there was none."""

    def refused(self, code: int) -> None:
        """A command was answered with no; ``code`` as above."""

    def answered(self, code: int, seconds: float) -> None:
        """The end of a message was answered, with yes or no, after so many seconds."""


_observer: ContextVar[Observer | None] = ContextVar("mailqueue_smtp_observer", default=None)


def observe(observer: Observer | None) -> None:
    """Tell ``observer`` about connections of this thread from now on, in place of any other."""
    _observer.set(observer)


def observer() -> Observer | None:
    """Who wants to know; None: nobody."""
    return _observer.get()


@contextmanager
def opening() -> Iterator[None]:
    """Observe the block, which opens a connection or raises."""
    found = _observer.get()
    if found is None:
        yield
        return
    began = time.monotonic()
    try:
        yield
    except OSError as error:
        mine = isinstance(error, MailQueueError)  # no server said that
        found.not_opened(_trouble(error), 0 if mine else getattr(error, "smtp_code", 0))
        raise
    found.opened(time.monotonic() - began)


def _trouble(error: OSError) -> Trouble:
    # Ours are about access tokens, which is part of logging in.
    if isinstance(error, MailQueueError | smtplib.SMTPAuthenticationError):
        return "login"
    # smtplib makes one thing of a server that hangs up and of one that says nothing.
    if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
        return "timeout"
    if isinstance(error, smtplib.SMTPException):
        return "refused"
    return "tls" if isinstance(error, ssl.SSLError) else "unreachable"
