"""What an error during delivery means, and what to do about it.

| seen                                                       | means                        |
| ---------------------------------------------------------- | ---------------------------- |
| all recipients refused, one of them with 4xx               | message deferred             |
| all recipients refused, each with 5xx                      | message bounced              |
| 4xx / 5xx at MAIL or after DATA                            | message deferred / bounced   |
| no connection, DNS, TLS, login asked for (530, 534, 535),  | nothing was tried: the whole |
| backend cannot be set up                                   | batch again, no attempt      |
| 421, time-out, connection lost while sending               | message deferred, the rest   |
|                                                            | again, no attempt            |
| ValueError, TypeError: the message itself cannot be built  | message bounced              |
| a non-ASCII address, and the server has no SMTPUTF8        | message bounced              |
| anything else that a backend raises                        | message deferred             |

A deferred message is tried again after the delays below; what is deferred ``MAX_ATTEMPTS`` times
goes to the failed store. A server that is away counts no attempts: mail waits for it.
This module knows neither Celery nor Redis nor clocks.
"""

import smtplib
from typing import Final, NamedTuple

from mailqueue.backends.smtp import AddressNotSupportedError
from mailqueue.errors import ConfigurationError
from worker.outcomes import Outcome, Status

#: Seconds before each further attempt; the last one repeats. Each must stay below the visibility
#: timeout, since Celery's countdown waits in a worker's memory, unacknowledged.
RETRY_DELAYS: Final = (5, 10, 20, 30)
#: Attempts, about 10 minutes of them, before a deferred message is given up.
MAX_ATTEMPTS: Final = 22

#: Seconds before another try where the server could not even be reached.
CONNECT_DELAY: Final = 15

#: Service closing, and three ways to ask for a (better) login, at whichever command they come.
_NOT_ABOUT_THE_MESSAGE: Final = frozenset({421, 530, 534, 535})
_PERMANENT: Final = 5  # the first digit
_TEMPORARY: Final = 4


class Verdict(NamedTuple):
    """What an error means for the message at hand, and whether the connection is still good."""

    outcome: Outcome
    connection_usable: bool


def judge(error: Exception) -> Verdict:  # noqa: PLR0911 - one return for each row
    """Classify what a delivery backend raised for one message."""
    detail = describe(error)
    match error:
        case smtplib.SMTPRecipientsRefused():
            codes = [code for code, _ in error.recipients.values()]
            if _NOT_ABOUT_THE_MESSAGE & set(codes):
                return Verdict(Outcome(Status.DEFERRED, detail), connection_usable=False)
            return Verdict(Outcome(_by_codes(codes), detail), connection_usable=True)
        case (
            smtplib.SMTPAuthenticationError()
            | smtplib.SMTPConnectError()
            | smtplib.SMTPHeloError()
            | smtplib.SMTPServerDisconnected()
        ):
            return Verdict(Outcome(Status.DEFERRED, detail), connection_usable=False)
        case smtplib.SMTPResponseException():
            code = error.smtp_code
            if code in _NOT_ABOUT_THE_MESSAGE:
                return Verdict(Outcome(Status.DEFERRED, detail), connection_usable=False)
            return Verdict(Outcome(_by_codes([code]), detail), connection_usable=True)
        case ConfigurationError():
            return Verdict(Outcome(Status.DEFERRED, detail), connection_usable=False)
        case AddressNotSupportedError():  # which no waiting will change
            return Verdict(Outcome(Status.BOUNCED, detail), connection_usable=True)
        case OSError():  # smtplib's other errors among them
            return Verdict(Outcome(Status.DEFERRED, detail), connection_usable=False)
        case ValueError() | TypeError():
            return Verdict(Outcome(Status.BOUNCED, detail), connection_usable=True)
        case _:
            return Verdict(Outcome(Status.DEFERRED, detail), connection_usable=True)


def _by_codes(codes: list[int]) -> Status:
    """Bounced when each reply is a permanent one (RFC 5321, 4.2.1); deferred otherwise."""
    permanent = bool(codes) and all(code // 100 == _PERMANENT for code in codes)
    return Status.BOUNCED if permanent else Status.DEFERRED


def describe(error: Exception) -> str:
    """An error in words: replies as ``code text``, anything else as ``Type: text``."""
    match error:
        case smtplib.SMTPRecipientsRefused():
            return "; ".join(reply(code, text) for code, text in error.recipients.values())
        case smtplib.SMTPResponseException():
            return reply(error.smtp_code, error.smtp_error)
        case _:
            return f"{type(error).__name__}: {error}"


def is_temporary(code: int) -> bool:
    """True for 4xx replies."""
    return code // 100 == _TEMPORARY


def reply(code: int, text: bytes | str) -> str:
    """An SMTP reply on one line."""
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(words.split())}"


def retry_delay(attempts: int) -> float:
    """Seconds until the next attempt after ``attempts`` of them: 5, 10, 20, then 30 each."""
    return RETRY_DELAYS[min(attempts, len(RETRY_DELAYS)) - 1]
