"""What was found in a queue's list: a message of kombu's, or something else."""

import base64
import binascii
from typing import Any

from kombu.utils.json import loads


class NotAMessageError(ValueError):
    """What was found is no message; the text says why, without quoting it."""


def read(raw: bytes) -> dict[str, Any]:
    """Return the message that the bytes are, or raise ``NotAMessageError``."""
    try:
        message = loads(raw.decode())  # kombu would replace bytes that are not UTF-8
    except UnicodeDecodeError:
        raise NotAMessageError("not UTF-8, so not a message of the queue") from None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        # The others: kombu's notation for dates and the like inside JSON, and a million brackets.
        raise NotAMessageError("not JSON, so not a message of the queue") from None
    fault = _fault_in(message)
    if fault:
        raise NotAMessageError(f"JSON, but not a message of the queue: {fault}")
    found: dict[str, Any] = message
    return found


def _fault_in(message: Any) -> str | None:  # noqa: PLR0911 - one return for each fault
    """Say what kombu's virtual transports would stumble over in a message, if anything."""
    if not isinstance(message, dict):
        return f"a {type(message).__name__}, not an object"
    properties = message.get("properties")
    if not isinstance(properties, dict) or not isinstance(properties.get("delivery_tag"), str):
        return "no delivery_tag among its properties"
    info = properties.get("delivery_info")
    if not isinstance(info, dict) or not {"exchange", "routing_key"} <= info.keys():
        return "no delivery_info among its properties"
    if not isinstance(message.get("headers") or {}, dict):
        return "headers that are not an object"
    body = message.get("body")
    if not isinstance(body, str):
        return "no body"
    if properties.get("body_encoding") == "base64":
        try:
            base64.b64decode(body)
        except (binascii.Error, ValueError):
            return "a body that is not base64"
    return None
