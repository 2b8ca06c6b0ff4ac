"""How a delivery attempt ended, as plain values."""

from enum import StrEnum
from typing import NamedTuple


class Status(StrEnum):
    """The mail field's own words."""

    SENT = "sent"  #: the server took responsibility for it
    DEFERRED = "deferred"  #: not now; again later
    BOUNCED = "bounced"  #: refused for good
    UNTRIED = "untried"  #: not attempted: the connection was gone, or time was up


class Outcome(NamedTuple):
    """How one message of a batch fared in one attempt."""

    status: Status
    #: The server's reply or the error, as it came.
    detail: str = ""
    #: Set where the outcome concerns only these recipients, all others being sent.
    recipients: tuple[str, ...] = ()
