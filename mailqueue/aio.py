"""The mail API for asyncio: the same calls, awaited, and the event loop is never blocked.

    from mailqueue.aio import asend_mail

    await asend_mail("Welcome", "Good to have you here.", None, ["ann@example.com"])

Arguments, results and errors are those of the calls without ``a``. Each call runs as a whole, from
checking and encoding (think of large attachments) to the broker's confirmation, in a thread of a
small pool (``threads.py``), with the caller's context variables. Do not change a message while the
call that sends it is awaited.

**Cancelling** the task that awaits one of these: a call that waits for a thread is dropped, and
nothing is enqueued. One that has a thread goes on to its end there, so the mail may be enqueued,
or cancelled, all the same. An ``idempotency_key`` makes it harmless to ask again.
"""

import contextvars
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from mailqueue import enqueuing, handles, sending
from mailqueue.conf import get_settings
from mailqueue.envelope import Priority
from mailqueue.errors import EnqueueError, StateError
from mailqueue.handles import Handle
from mailqueue.options import Moment, OnUnknown, Span, Until
from mailqueue.outcomes import Status
from mailqueue.threads import BusyError, Threads

__all__ = [
    "acancel",
    "aenqueue",
    "amail_admins",
    "amail_managers",
    "asend",
    "asend_mail",
    "asend_mass_mail",
    "astatus",
    "astatuses",
    "awarm_up",
]

logger = logging.getLogger("mailqueue.enqueue")

#: As many as the publisher has connections to the broker: more would only wait for one.
_broker: Final = Threads("mailqueue-send", 10)
#: Others, so that a state store that hangs is in no mail's way.
_state: Final = Threads("mailqueue-state", 4)
#: Seconds; what the state store's client allows one answer.
_STATE_PATIENCE: Final = 10.0


async def aenqueue(
    messages: Any | Iterable[Any],
    *,
    fail_silently: bool = False,
    eta: Moment | None = None,
    delay: Span | None = None,
    expires: Until | None = None,
    on_unknown: OnUnknown | None = None,
    idempotency_key: str | None = None,
    route: str | None = None,
    priority: Priority = "normal",
) -> list[Handle]:
    """``mailqueue.enqueue``, awaited."""

    def call() -> list[Handle]:
        return enqueuing.enqueue(
            messages,
            fail_silently=fail_silently,
            eta=eta,
            delay=delay,
            expires=expires,
            on_unknown=on_unknown,
            idempotency_key=idempotency_key,
            route=route,
            priority=priority,
        )

    found: list[Handle] = await _sent(call, fail_silently, [])
    return found


async def asend(message: Any, fail_silently: bool = False) -> Any:
    """``message.send()``, awaited, for an ``EmailMessage`` that you have made."""
    return await _sent(
        lambda: message.send(fail_silently), _silent(fail_silently, message.connection), 0
    )


async def asend_mail(
    subject: Any,
    message: Any,
    from_email: Any,
    recipient_list: Sequence[Any],
    fail_silently: bool = False,
    auth_user: str | None = None,
    auth_password: str | None = None,
    connection: Any = None,
    html_message: Any = None,
) -> Any:
    """``mailqueue.send_mail``, awaited."""

    def call() -> Any:
        return sending.send_mail(
            subject, message, from_email, recipient_list, fail_silently,
            auth_user, auth_password, connection, html_message,
        )  # fmt: skip

    return await _sent(call, _silent(fail_silently, connection), 0)


async def asend_mass_mail(
    datatuple: Iterable[tuple[Any, Any, Any, Sequence[Any]]],
    fail_silently: bool = False,
    auth_user: str | None = None,
    auth_password: str | None = None,
    connection: Any = None,
) -> Any:
    """``mailqueue.send_mass_mail``, awaited."""

    def call() -> Any:
        return sending.send_mass_mail(
            datatuple, fail_silently, auth_user, auth_password, connection
        )

    return await _sent(call, _silent(fail_silently, connection), 0)


async def amail_admins(
    subject: Any,
    message: Any,
    fail_silently: bool = False,
    connection: Any = None,
    html_message: Any = None,
) -> None:
    """``mailqueue.mail_admins``, awaited."""

    def call() -> None:
        sending.mail_admins(subject, message, fail_silently, connection, html_message)

    await _sent(call, _silent(fail_silently, connection), None)


async def amail_managers(
    subject: Any,
    message: Any,
    fail_silently: bool = False,
    connection: Any = None,
    html_message: Any = None,
) -> None:
    """``mailqueue.mail_managers``, awaited."""

    def call() -> None:
        sending.mail_managers(subject, message, fail_silently, connection, html_message)

    await _sent(call, _silent(fail_silently, connection), None)


async def awarm_up() -> None:
    """``mailqueue.warm_up``, awaited; raises ``EnqueueError`` when the broker does not answer."""
    await _sent(enqueuing.warm_up, False, None)


async def astatus(mail: Handle | str) -> Status:
    """``Handle.status``, awaited; takes a handle or the id that was kept of it."""
    status: Status = await _asked(_handle(mail).status)
    return status


async def astatuses(mails: Iterable[Handle | str]) -> dict[str, Status]:
    """``mailqueue.statuses``, awaited."""
    found: dict[str, Status] = await _asked(lambda: handles.statuses(mails))
    return found


async def acancel(mail: Handle | str) -> bool:
    """``Handle.cancel``, awaited; takes a handle or the id that was kept of it."""
    cancelled: bool = await _asked(_handle(mail).cancel)
    return cancelled


def _handle(mail: Handle | str) -> Handle:
    return Handle(mail, "") if isinstance(mail, str) else mail


def _silent(fail_silently: bool, connection: Any) -> bool:
    """A connection that was given decides, as in the calls without ``a``."""
    return bool(getattr(connection, "fail_silently", False)) if connection else fail_silently


async def _sent(call: Callable[[], Any], fail_silently: bool, nothing: Any) -> Any:
    # The share of the time-out that a thread may wait for a free connection, too.
    patience = 0.25 * get_settings().MAILQUEUE_ENQUEUE_TIMEOUT
    try:
        return await _broker.run(_in_context(call), patience)
    except BusyError as error:
        busy = EnqueueError(f"nothing was enqueued: {error}")
        if not fail_silently:
            raise busy from None
        logger.error("%s", busy)  # noqa: TRY400 - the text says it all
        return nothing


async def _asked(call: Callable[[], Any]) -> Any:
    try:
        return await _state.run(_in_context(call), _STATE_PATIENCE)
    except BusyError as error:
        raise StateError(f"the state store was not asked: {error}") from None


def _in_context(call: Callable[[], Any]) -> Callable[[], Any]:
    context = contextvars.copy_context()
    return lambda: context.run(call)
