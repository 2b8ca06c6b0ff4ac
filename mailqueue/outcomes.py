"""What comes of a delivery, as plain values.

Two layers, so that facts and judgement stay apart:

- a ``Fault`` is what a server said or what went wrong, and at which stage; an ``Attempt`` is what
  came of handing one message to a backend once. Delivery backends make these.
- a ``Status`` is where a mail stands. ``worker/policy.py`` makes one of the other.
"""

import re
from enum import StrEnum
from typing import Any, Final, NamedTuple

#: An enhanced status code at the beginning of a reply's text (RFC 3463).
_ENHANCED: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?=\s|$)")
#: Characters of a server's text that are kept; some send whole pages.
_LONGEST_TEXT: Final = 1000


class Status(StrEnum):
    """Where a mail stands. The mail field's own words."""

    QUEUED = "queued"  #: at the broker
    SCHEDULED = "scheduled"  #: not before its time
    DEFERRED = "deferred"  #: tried or put off; again later
    CLAIMED = "claimed"  #: a worker has it in its batch
    SENDING = "sending"  #: a worker is handing it over
    SENT = "sent"  #: the server took responsibility for it
    BOUNCED = "bounced"  #: refused for good, by one recipient's server at least
    EXPIRED = "expired"  #: its time was over before anybody took it
    UNKNOWN = "unknown"  #: handed over, the reply never seen; held for a person
    CANCELLED = "cancelled"  #: taken back before a worker claimed it

    @property
    def final(self) -> bool:
        """True where nothing more happens unless a person asks for it."""
        return self in _FINAL


_FINAL: Final = frozenset(
    {Status.SENT, Status.BOUNCED, Status.EXPIRED, Status.UNKNOWN, Status.CANCELLED}
)


class Stage(StrEnum):
    """How far a delivery had come when something went wrong."""

    CONNECT = "connect"  #: reaching the server, its greeting, EHLO, STARTTLS
    LOGIN = "login"  #: AUTH
    BUILD = "build"  #: making the message's bytes; nothing was said to a server
    SENDER = "sender"  #: MAIL FROM
    RECIPIENT = "recipient"  #: RCPT TO
    DATA = "data"  #: the DATA command, up to the final dot being written
    CONTENT = "content"  #: after the final dot
    BACKEND = "backend"  #: a backend that tells no more than an exception


class Fault(NamedTuple):
    """What was said, or what went wrong, at one stage."""

    stage: Stage
    #: The reply's code; 0 where there was no reply.
    code: int = 0
    #: The reply's text on one line, or ``Type: text`` of an error.
    text: str = ""
    #: The connection is gone, or nothing can be said on it any more.
    lost: bool = False

    @classmethod
    def of_reply(cls, stage: Stage, code: int, text: bytes | str, *, lost: bool = False) -> "Fault":
        """A server's reply; 421 announces that it closes the connection (RFC 5321, 3.8)."""
        words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        return cls(stage, code, " ".join(words.split())[:_LONGEST_TEXT], lost or code == 421)  # noqa: PLR2004

    @classmethod
    def of_error(cls, stage: Stage, error: BaseException, *, lost: bool = False) -> "Fault":
        """An exception that carries no reply."""
        words = " ".join(f"{type(error).__name__}: {error}".split())
        return cls(stage, 0, words[:_LONGEST_TEXT], lost)

    @property
    def enhanced(self) -> str:
        """The enhanced status code, ``5.1.1`` (RFC 3463); empty where the reply has none."""
        found = _ENHANCED.match(self.text)
        return found[0] if found else ""

    def __str__(self) -> str:
        return f"{self.code} {self.text}".strip() if self.code else self.text


class Attempt(NamedTuple):
    """What came of handing one message to a backend once.

    One of these holds:

    - ``taken``: the server took responsibility for all recipients but those in ``refused``;
    - ``refused`` alone: each recipient was refused, each with its own reply;
    - ``fault``: what ended the transaction, for all recipients but those in ``refused``;
      ``unknown`` says that the content had been handed over, and whether it was accepted cannot be
      known (RFC 5321, 4.5.4.1).
    """

    #: The very object that was given to the backend.
    message: Any
    taken: bool = False
    #: In the order of the recipients. Not a dict: an address can stand twice.
    refused: tuple[tuple[str, Fault], ...] = ()
    fault: Fault | None = None
    unknown: bool = False
