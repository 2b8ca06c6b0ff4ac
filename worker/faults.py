"""What a delivery backend's exception or count says, as an ``Attempt``.

For backends that report no more than an exception or a count for each message: Django's,
Anymail's, anybody's. Nothing of theirs is imported; Anymail's errors are known by name.

Such a backend does not say how far it had come. When its connection breaks, the message may have
been accepted, so the attempt is *unknown* unless the error can only come from connecting.
"""

import errno
import smtplib
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mailqueue.errors import ConfigurationError
from mailqueue.outcomes import Attempt, Fault, Stage

_CLOSING: Final = 421
#: Errors that come before anything was said to a server.
_CONNECTING: Final = (
    ConnectionRefusedError,
    socket.gaierror,
    socket.herror,
    ssl.SSLCertVerificationError,
)
#: The same in requests, urllib3 and httpx, by name.
_CONNECTING_NAMES: Final = frozenset(
    {"ConnectTimeout", "ConnectError", "NewConnectionError", "NameResolutionError"}
)
#: Trouble of this machine, not of a connection.
_LOCAL: Final = (
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)
_LOCAL_NUMBERS: Final = frozenset(
    {errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EROFS}
)
#: What Anymail calls a recipient that the provider will not serve.
_ANYMAIL_REFUSED: Final = frozenset({"invalid", "rejected", "failed"})
#: An API's refusal has no SMTP code; this one says the same (RFC 5321, 4.2.3).
_NOT_TAKEN: Final = 550


def attempt_of(
    message: Any, error: BaseException, recipients: Iterable[str] | None = None
) -> Attempt:
    """What an exception of ``send_messages([message])`` says.

    Args:
        message: The object that the backend was given.
        error: What it raised.
        recipients: The recipients in order, where known; None: those that the error names.
    """
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return _all_refused(message, error.recipients, recipients)
    if _has_name(error, "AnymailRecipientsRefused"):
        fault = Fault.of_reply(Stage.RECIPIENT, _NOT_TAKEN, str(error))
        everybody = tuple(recipients) if recipients is not None else tuple(message.recipients())
        return Attempt(message, refused=tuple((address, fault) for address in everybody))
    fault = fault_of(error)
    unknown = fault.lost and not fault.code and fault.stage is Stage.BACKEND
    return Attempt(message, fault=fault, unknown=unknown)


def attempt_of_count(message: Any, count: Any, backend: Any) -> Attempt:
    """What a call that returned says, by its count and by what the backend keeps about refusals.

    Args:
        message: The object that the backend was given, alone.
        count: What ``send_messages()`` returned; some return nothing.
        backend: Its ``refused``, where it has one like ours, names recipients and replies.
    """
    replies: dict[str, tuple[int, bytes | str]] = {}
    for refused_message, refused in getattr(backend, "refused", None) or ():
        if refused_message is message:
            replies.update(refused)
    if not count and replies:
        return _all_refused(message, replies, None)
    if not count:
        return Attempt(
            message, fault=Fault(Stage.BACKEND, 0, "the backend sent nothing and gave no reason")
        )
    refusals = tuple((address, _refusal(*reply)) for address, reply in replies.items())
    return Attempt(message, taken=True, refused=refusals + _anymail_refusals(message))


def fault_of(error: BaseException) -> Fault:  # noqa: PLR0911 - one return for each kind
    """The fault in an exception that concerns the whole message or the connection."""
    code = _http_status(error)
    if code:
        return Fault.of_reply(Stage.BACKEND, code, str(error))._replace(lost=False)
    match error:
        case smtplib.SMTPResponseException():
            return Fault.of_reply(_reply_stage(error), error.smtp_code, error.smtp_error)
        case ConfigurationError():
            return Fault.of_error(Stage.LOGIN, error)
        case smtplib.SMTPNotSupportedError():
            return Fault.of_error(_unsupported_stage(error), error)
        case smtplib.SMTPServerDisconnected():
            never_open = "connect() first" in str(error) or "connect first" in str(error)
            return Fault.of_error(Stage.CONNECT if never_open else Stage.BACKEND, error, lost=True)
        case smtplib.SMTPException() if "authentication" in str(error):
            return Fault.of_error(Stage.LOGIN, error)  # no method that both sides know
        case smtplib.SMTPException():
            return Fault.of_error(Stage.BACKEND, error)
        case OSError():
            return _os_fault(error)
        case ValueError() | TypeError():
            return Fault.of_error(Stage.BUILD, error)
        case _:
            return Fault.of_error(Stage.BACKEND, error)


def _os_fault(error: OSError) -> Fault:
    if any(_is_connecting(one) for one in _chain(error)):
        return Fault.of_error(Stage.CONNECT, error, lost=True)
    is_local = isinstance(error, _LOCAL) or error.errno in _LOCAL_NUMBERS
    return Fault.of_error(Stage.BACKEND, error, lost=not is_local)


def fault_of_open(error: BaseException) -> Fault:
    """The fault in an exception of ``open()``, when nothing was said about any message yet."""
    fault = fault_of(error)
    if fault.stage in {Stage.CONNECT, Stage.LOGIN} or (fault.code and fault.stage is Stage.BACKEND):
        return fault
    return fault._replace(stage=Stage.CONNECT, lost=True)


def _reply_stage(error: smtplib.SMTPResponseException) -> Stage:
    match error:
        case smtplib.SMTPSenderRefused():
            return Stage.SENDER
        case smtplib.SMTPAuthenticationError():
            return Stage.LOGIN
        case smtplib.SMTPConnectError() | smtplib.SMTPHeloError():
            return Stage.CONNECT
        case _:
            # smtplib raises the plain class for STARTTLS only.
            is_plain = type(error) is smtplib.SMTPResponseException
            return Stage.CONNECT if is_plain else Stage.CONTENT


def _unsupported_stage(error: smtplib.SMTPNotSupportedError) -> Stage:
    """What the server does not offer: something for the connection, or for this message."""
    words = str(error)
    if "STARTTLS" in words:
        return Stage.CONNECT
    return Stage.LOGIN if "AUTH" in words else Stage.BUILD


def _refusal(code: int, text: bytes | str) -> Fault:
    return Fault.of_reply(Stage.RECIPIENT, code, text)


def _all_refused(
    message: Any,
    replies: Mapping[str, tuple[int, bytes | str]],
    recipients: Iterable[str] | None,
) -> Attempt:
    """Nobody was accepted; after a 421 the others were not even asked."""
    closing = [reply for reply in replies.values() if reply[0] == _CLOSING]
    if closing:
        return Attempt(message, fault=_refusal(*closing[0]))
    nothing_said = Fault(Stage.RECIPIENT, 0, "no recipient was accepted, and no reason given")
    addresses: Sequence[str] = tuple(replies) if recipients is None else tuple(recipients)
    if not replies or not addresses:
        return Attempt(message, fault=nothing_said)
    faults = {address: _refusal(*reply) for address, reply in replies.items()}
    return Attempt(
        message, refused=tuple((one, faults.get(one, nothing_said)) for one in addresses)
    )


def _anymail_refusals(message: Any) -> tuple[tuple[str, Fault], ...]:
    """Recipients that the provider's answer excepts, as Anymail notes them on the message."""
    statuses = getattr(getattr(message, "anymail_status", None), "recipients", None) or {}
    return tuple(
        (address, Fault.of_reply(Stage.RECIPIENT, _NOT_TAKEN, f"the provider's status: {status}"))
        for address, entry in statuses.items()
        if (status := getattr(entry, "status", None)) in _ANYMAIL_REFUSED
    )


def _http_status(error: BaseException) -> int:
    for holder in (error, getattr(error, "response", None)):
        code = getattr(holder, "status_code", None)
        if isinstance(code, int):
            return int(code)
    return 0


def _has_name(error: BaseException, name: str) -> bool:
    return any(cls.__name__ == name for cls in type(error).__mro__)


def _is_connecting(error: BaseException) -> bool:
    return isinstance(error, _CONNECTING) or any(_has_name(error, n) for n in _CONNECTING_NAMES)


def _chain(error: BaseException) -> list[BaseException]:
    """The error, what caused it, and the errors that libraries carry as their arguments."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or one in found:
            continue
        found.append(one)
        inner = [*one.args, getattr(one, "reason", None)]
        waiting += [e for e in inner if isinstance(e, BaseException)]
        waiting += [one.__cause__, one.__context__]
    return found
