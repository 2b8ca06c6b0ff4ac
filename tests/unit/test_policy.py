import smtplib
import ssl
from typing import Any

import pytest

from mailqueue.backends.smtp import AddressNotSupportedError
from mailqueue.errors import BadHeaderError, ConfigurationError, DecodeError, EnqueueError
from worker.outcomes import Status
from worker.policy import (
    MAX_ATTEMPTS,
    RETRY_DELAYS,
    describe,
    is_temporary,
    judge,
    reply,
    retry_delay,
)

DEFERRED, BOUNCED = Status.DEFERRED, Status.BOUNCED
STAYS, GONE = True, False


def refused(*codes: int) -> smtplib.SMTPRecipientsRefused:
    return smtplib.SMTPRecipientsRefused(
        {f"r{at}@example.com": (code, b"no") for at, code in enumerate(codes)}
    )


@pytest.mark.parametrize(
    ("error", "status", "connection"),
    [
        # all recipients refused, one of them with 4xx / each with 5xx
        (refused(450), DEFERRED, STAYS),
        (refused(550, 451, 550), DEFERRED, STAYS),
        (refused(550), BOUNCED, STAYS),
        (refused(550, 553, 501), BOUNCED, STAYS),
        (refused(), DEFERRED, STAYS),
        # 4xx / 5xx at MAIL or after DATA
        (smtplib.SMTPSenderRefused(451, b"later", "a@example.com"), DEFERRED, STAYS),
        (smtplib.SMTPSenderRefused(552, b"too big", "a@example.com"), BOUNCED, STAYS),
        (smtplib.SMTPDataError(452, b"full"), DEFERRED, STAYS),
        (smtplib.SMTPDataError(554, b"spam"), BOUNCED, STAYS),
        (smtplib.SMTPResponseException(299, "no reply that fits"), DEFERRED, STAYS),
        # no connection, DNS, TLS, login refused, backend cannot be set up
        (smtplib.SMTPConnectError(554, b"go away"), DEFERRED, GONE),
        (smtplib.SMTPHeloError(550, b"who?"), DEFERRED, GONE),
        (smtplib.SMTPAuthenticationError(535, b"wrong"), DEFERRED, GONE),
        (smtplib.SMTPSenderRefused(530, b"login first", "a@example.com"), DEFERRED, GONE),
        (smtplib.SMTPDataError(534, b"login better"), DEFERRED, GONE),
        (refused(530), DEFERRED, GONE),
        (ConnectionRefusedError(111, "refused"), DEFERRED, GONE),
        (OSError("Name or service not known"), DEFERRED, GONE),
        (ssl.SSLCertVerificationError("self-signed"), DEFERRED, GONE),
        (smtplib.SMTPNotSupportedError("STARTTLS"), DEFERRED, GONE),
        (ConfigurationError("no such backend"), DEFERRED, GONE),
        (EnqueueError("away"), DEFERRED, GONE),
        # 421, time-out, connection lost while sending
        (refused(550, 421), DEFERRED, GONE),
        (smtplib.SMTPDataError(421, b"closing"), DEFERRED, GONE),
        (TimeoutError("timed out"), DEFERRED, GONE),
        (smtplib.SMTPServerDisconnected("lost"), DEFERRED, GONE),
        (BrokenPipeError(), DEFERRED, GONE),
        # the message itself cannot be built
        (BadHeaderError("Subject"), BOUNCED, STAYS),
        (DecodeError("damaged"), BOUNCED, STAYS),
        (UnicodeEncodeError("ascii", "ä", 0, 1, "no"), BOUNCED, STAYS),
        (TypeError("to"), BOUNCED, STAYS),
        # a non-ASCII address, and the server has no SMTPUTF8
        (AddressNotSupportedError("ü@"), BOUNCED, STAYS),
        # anything else that a backend raises
        (RuntimeError("odd"), DEFERRED, STAYS),
        (KeyError("odd"), DEFERRED, STAYS),
        (NotImplementedError(), DEFERRED, STAYS),
    ],
    ids=repr,
)
def test_each_error_means_what_the_table_says(
    error: Exception, status: Status, connection: bool
) -> None:
    outcome, usable = judge(error)
    assert (outcome.status, usable) == (status, connection)
    assert outcome.detail == describe(error)
    assert outcome.recipients == ()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (smtplib.SMTPDataError(554, b"5.7.1 spam\r\n  and more"), "554 5.7.1 spam and more"),
        (smtplib.SMTPResponseException(450, "as text"), "450 as text"),
        (refused(550, 451), "550 no; 451 no"),
        (smtplib.SMTPServerDisconnected("lost"), "SMTPServerDisconnected: lost"),
        (TimeoutError("timed out"), "TimeoutError: timed out"),
        (ValueError("bad"), "ValueError: bad"),
    ],
)
def test_errors_are_described_by_the_server_s_reply_or_their_type(
    error: Exception, words: str
) -> None:
    assert describe(error) == words


@pytest.mark.parametrize("text", [b"a\r\nb", "a \n b", b"a  b"])
def test_a_reply_is_one_line(text: Any) -> None:
    assert reply(250, text) == "250 a b"


def test_a_reply_in_no_known_charset_is_still_a_text() -> None:
    assert reply(550, b"\xff no") == "550 \ufffd no"


@pytest.mark.parametrize(
    ("code", "temporary"), [(399, False), (400, True), (499, True), (500, False)]
)
def test_only_4xx_is_temporary(code: int, temporary: bool) -> None:
    assert is_temporary(code) is temporary


def test_the_delay_grows_to_half_a_minute_and_stays_there() -> None:
    assert [retry_delay(attempts) for attempts in range(1, 7)] == [5, 10, 20, 30, 30, 30]


def test_all_attempts_together_take_about_ten_minutes() -> None:
    assert 9 * 60 <= sum(retry_delay(attempts) for attempts in range(1, MAX_ATTEMPTS)) <= 11 * 60
    assert retry_delay(MAX_ATTEMPTS) == RETRY_DELAYS[-1]
