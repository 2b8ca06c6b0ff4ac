import errno
import smtplib
import socket
import ssl
from types import SimpleNamespace
from typing import Any

import pytest

from mailqueue.backends.smtp import AddressNotSupportedError
from mailqueue.errors import BadHeaderError, ConfigurationError, EmbeddedError
from mailqueue.outcomes import Fault, Stage
from worker.faults import attempt_of, attempt_of_count, fault_of, fault_of_open
from worker.policy import Kind, classify


class Message:
    def recipients(self) -> list[str]:
        return ["ann@example.com", "bob@example.com"]


MESSAGE = Message()
ANN, BOB = MESSAGE.recipients()


def api_error(code: Any, text: str = "no", *, name: str = "AnymailAPIError") -> Exception:
    error: Any = type(name, (Exception,), {})(text)
    error.status_code = code
    return error


def test_each_refused_recipient_has_its_own_reply() -> None:
    error = smtplib.SMTPRecipientsRefused({BOB: (450, b"later\nplease"), ANN: (550, b"no")})
    attempt = attempt_of(MESSAGE, error, [ANN, BOB, ANN])
    refused = Fault(Stage.RECIPIENT, 550, "no")
    assert attempt.message is MESSAGE
    assert attempt.refused == (
        (ANN, refused),
        (BOB, Fault(Stage.RECIPIENT, 450, "later please")),
        (ANN, refused),
    )
    assert (attempt.taken, attempt.fault, attempt.unknown) == (False, None, False)
    assert [address for address, _ in attempt_of(MESSAGE, error).refused] == [BOB, ANN]


def test_a_recipient_without_a_reply_is_put_off() -> None:
    error = smtplib.SMTPRecipientsRefused({ANN: (550, b"no")})
    _, (_, fault) = attempt_of(MESSAGE, error, [ANN, BOB]).refused
    assert classify(fault).kind is Kind.TEMPORARY


def test_after_421_nobody_else_was_asked() -> None:
    error = smtplib.SMTPRecipientsRefused({ANN: (550, b"no"), BOB: (421, b"closing")})
    attempt = attempt_of(MESSAGE, error, [ANN, BOB, "eve@example.com"])
    assert attempt.fault == Fault(Stage.RECIPIENT, 421, "closing", lost=True)
    assert not attempt.refused


def test_nobody_refused_is_a_fault_of_its_own() -> None:
    attempt = attempt_of(MESSAGE, smtplib.SMTPRecipientsRefused({}))
    assert attempt.fault
    assert classify(attempt.fault).kind is Kind.TEMPORARY


@pytest.mark.parametrize(
    ("error", "stage", "code", "lost", "unknown"),
    [
        (smtplib.SMTPSenderRefused(553, b"no", "a@example.com"), Stage.SENDER, 553, False, False),
        (smtplib.SMTPDataError(554, b"spam"), Stage.CONTENT, 554, False, False),
        (smtplib.SMTPDataError(421, b"closing"), Stage.CONTENT, 421, True, False),
        (smtplib.SMTPAuthenticationError(535, b"no"), Stage.LOGIN, 535, False, False),
        (smtplib.SMTPHeloError(550, b"who?"), Stage.CONNECT, 550, False, False),
        (smtplib.SMTPConnectError(554, b"go"), Stage.CONNECT, 554, False, False),
        (smtplib.SMTPResponseException(454, b"TLS"), Stage.CONNECT, 454, False, False),
        (smtplib.SMTPException("No suitable authentication"), Stage.LOGIN, 0, False, False),
        (smtplib.SMTPException("odd"), Stage.BACKEND, 0, False, False),
        # Nobody knows how far it had come:
        (smtplib.SMTPServerDisconnected("Connection lost"), Stage.BACKEND, 0, True, True),
        (TimeoutError("timed out"), Stage.BACKEND, 0, True, True),
        (ConnectionResetError(104, "reset"), Stage.BACKEND, 0, True, True),
        (BrokenPipeError(), Stage.BACKEND, 0, True, True),
        (ssl.SSLError("bad record"), Stage.BACKEND, 0, True, True),
        (OSError(errno.EHOSTUNREACH, "no route"), Stage.BACKEND, 0, True, True),
        # Plainly while connecting:
        (
            smtplib.SMTPServerDisconnected("please run connect() first"),
            Stage.CONNECT,
            0,
            True,
            False,
        ),
        (ConnectionRefusedError(111, "refused"), Stage.CONNECT, 0, True, False),
        (socket.gaierror(-2, "unknown"), Stage.CONNECT, 0, True, False),
        (ssl.SSLCertVerificationError("self-signed"), Stage.CONNECT, 0, True, False),
        (type("ConnectTimeout", (OSError,), {})("slow"), Stage.CONNECT, 0, True, False),
        (OSError(type("NewConnectionError", (Exception,), {})()), Stage.CONNECT, 0, True, False),
        # Of this machine:
        (FileNotFoundError(2, "client.pem"), Stage.BACKEND, 0, False, False),
        (PermissionError(13, "spool"), Stage.BACKEND, 0, False, False),
        (OSError(errno.ENOSPC, "full"), Stage.BACKEND, 0, False, False),
        # No waiting changes these:
        (smtplib.SMTPNotSupportedError("SMTPUTF8 not supported"), Stage.BUILD, 0, False, False),
        (AddressNotSupportedError("ü@"), Stage.BUILD, 0, False, False),
        (BadHeaderError("Subject"), Stage.BUILD, 0, False, False),
        (UnicodeEncodeError("ascii", "ä", 0, 1, "no"), Stage.BUILD, 0, False, False),
        (TypeError("to"), Stage.BUILD, 0, False, False),
        # The connection's, not the message's:
        (smtplib.SMTPNotSupportedError("STARTTLS extension"), Stage.CONNECT, 0, False, False),
        (smtplib.SMTPNotSupportedError("SMTP AUTH extension"), Stage.LOGIN, 0, False, False),
        (ConfigurationError("EMAIL_HOST"), Stage.LOGIN, 0, False, False),
        (EmbeddedError("no binary"), Stage.LOGIN, 0, False, False),
        # APIs:
        (api_error(429), Stage.BACKEND, 429, False, False),
        (api_error(421), Stage.BACKEND, 421, False, False),
        (api_error(None), Stage.BACKEND, 0, False, False),
        (RuntimeError("odd"), Stage.BACKEND, 0, False, False),
    ],
    ids=repr,
)
def test_what_an_exception_says(
    error: Exception, stage: Stage, code: int, lost: bool, unknown: bool
) -> None:
    attempt = attempt_of(MESSAGE, error)
    assert attempt.fault
    assert (attempt.fault.stage, attempt.fault.code) == (stage, code)
    assert (attempt.fault.lost, attempt.unknown) == (lost, unknown)
    assert not attempt.taken
    assert not attempt.refused


def test_a_subclass_of_smtplib_s_reply_is_taken_for_the_message_s() -> None:
    class OddError(smtplib.SMTPResponseException):
        pass

    assert fault_of(OddError(554, b"no")).stage is Stage.CONTENT


def test_an_api_s_code_may_stand_on_its_response() -> None:
    error: Any = OSError("403 Client Error")
    error.response = SimpleNamespace(status_code=403)
    assert fault_of(error) == Fault(Stage.BACKEND, 403, "403 Client Error")


def test_an_error_of_errors_that_turn_in_a_circle() -> None:
    one, other = OSError("one"), OSError("other")
    one.__cause__, other.__cause__ = other, one
    assert attempt_of(MESSAGE, one).unknown


def test_anymail_s_refusal_is_one_of_each_recipient() -> None:
    refused = type("AnymailRecipientsRefused", (Exception,), {})
    error = type("Anymail", (refused,), {})("all recipients rejected")
    attempt = attempt_of(MESSAGE, error)
    assert [address for address, _ in attempt.refused] == [ANN, BOB]
    assert {classify(fault).kind for _, fault in attempt.refused} == {Kind.PERMANENT}
    assert len(attempt_of(MESSAGE, error, [ANN]).refused) == 1


@pytest.mark.parametrize(
    ("error", "stage"),
    [
        (TimeoutError("timed out"), Stage.CONNECT),
        (smtplib.SMTPServerDisconnected("lost"), Stage.CONNECT),
        (RuntimeError("odd"), Stage.CONNECT),
        (ValueError("EMAIL_USE_TLS"), Stage.CONNECT),
        (FileNotFoundError(2, "client.pem"), Stage.CONNECT),
        (smtplib.SMTPAuthenticationError(535, b"no"), Stage.LOGIN),
        (ConfigurationError("EMAIL_HOST"), Stage.LOGIN),
        (api_error(401), Stage.BACKEND),
    ],
    ids=repr,
)
def test_a_connection_that_cannot_be_opened_is_no_message_s_fault(
    error: Exception, stage: Stage
) -> None:
    fault = fault_of_open(error)
    assert fault.stage is stage
    assert classify(fault).kind in {Kind.AWAY, Kind.LOGIN}


@pytest.mark.parametrize("count", [1, True, 7])
def test_a_count_says_that_it_was_taken(count: Any) -> None:
    attempt = attempt_of_count(MESSAGE, count, object())
    assert (attempt.taken, attempt.refused, attempt.fault) == (True, (), None)


@pytest.mark.parametrize("count", [0, None, False])
def test_no_count_and_no_reason_is_put_off(count: Any) -> None:
    attempt = attempt_of_count(MESSAGE, count, SimpleNamespace(refused=[]))
    assert attempt.fault == Fault(Stage.BACKEND, 0, "the backend sent nothing and gave no reason")
    assert classify(attempt.fault).kind is Kind.TEMPORARY


def test_what_a_backend_keeps_about_refusals() -> None:
    backend = SimpleNamespace(
        refused=[(Message(), {BOB: (550, b"other")}), (MESSAGE, {ANN: (450, b"l")})]
    )
    refused = ((ANN, Fault(Stage.RECIPIENT, 450, "l")),)
    assert attempt_of_count(MESSAGE, 1, backend) == (MESSAGE, True, refused, None, False)
    assert attempt_of_count(MESSAGE, 0, backend) == (MESSAGE, False, refused, None, False)


def test_recipients_that_a_provider_excepts_are_refused() -> None:
    message: Any = Message()
    message.anymail_status = SimpleNamespace(
        recipients={
            ANN: SimpleNamespace(status="queued"),
            BOB: SimpleNamespace(status="rejected"),
        }
    )
    attempt = attempt_of_count(message, 1, object())
    assert attempt.taken
    assert [address for address, _ in attempt.refused] == [BOB]
