"""Assertions whose failures list what was enqueued instead."""

from typing import Any

from mailqueue.message import EmailMessage
from mailqueue.testing.modes import current_outbox


def assert_mail_enqueued(count: int | None = None, **fields: Any) -> list[EmailMessage]:
    """Assert that mail with these fields was enqueued; returns it.

    Args:
        count: How many must match; None: at least one.
        **fields: Attributes of the message and what they must equal, such as ``subject``, ``to``,
            ``from_email``. ``body`` must be contained in the message's body.

    Raises:
        AssertionError: Another number matches; the text lists what was enqueued.
        TypeError: A message has no such attribute.
    """
    outbox = current_outbox()
    found = [message for message in outbox if _matches(message, fields)]
    if (not found) if count is None else (len(found) != count):
        wanted = ", ".join(f"{name}={value!r}" for name, value in fields.items()) or "anything"
        expected = "at least 1" if count is None else count
        listed = "".join(f"\n  {_line(message)}" for message in outbox) or " nothing"
        raise AssertionError(
            f"{len(found)} mails with {wanted} enqueued, expected {expected}; "
            f"{len(outbox)} in all:{listed}"
        )
    return found


def assert_no_mail_enqueued(**fields: Any) -> None:
    """Assert that no mail (with these fields) was enqueued. Raises ``AssertionError``."""
    assert_mail_enqueued(count=0, **fields)


def _matches(message: EmailMessage, fields: dict[str, Any]) -> bool:
    for name, expected in fields.items():
        if not hasattr(message, name):
            raise TypeError(f"a message has no attribute {name!r} to compare")
        actual = getattr(message, name)
        if name == "body":
            if expected not in actual:
                return False
        elif isinstance(actual, list) and not isinstance(expected, str):
            if actual != list(expected):
                return False
        elif actual != expected:
            return False
    return True


def _line(message: EmailMessage) -> str:
    return f"{message.subject!r} to {message.recipients()} from {message.from_email!r}"
