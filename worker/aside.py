"""Setting aside what a worker cannot make sense of, with the reason, so that mail goes on."""

import logging
from typing import Any

from mailqueue.failed import keep_undecodable

logger = logging.getLogger("mailqueue.worker")


def set_aside(data: object, reason: str) -> None:
    """Keep ``data`` in the failed store and say so. Its content is not logged: it may be mail."""
    id_ = keep_undecodable(data, reason)
    logger.error("set aside as %s in the failed store: %s", id_, reason)


def set_message_aside(message: Any, reason: str) -> None:
    """Keep a broker's message (kombu's) whole, then acknowledge it.

    When the failed store cannot be written the error goes up and the message stays
    unacknowledged: the broker gives it out again later.
    """
    body = message.body
    set_aside(
        {
            "content_type": message.content_type,
            "headers": _plain(message.headers),
            "body": body.decode("utf-8", "backslashreplace") if isinstance(body, bytes) else body,
        },
        reason,
    )
    message.ack()


def _plain(headers: Any) -> Any:
    if isinstance(headers, dict):
        return {str(name): _plain(value) for name, value in headers.items()}
    if isinstance(headers, list | tuple):
        return [_plain(value) for value in headers]
    return headers if isinstance(headers, str | int | float | bool | None) else repr(headers)
