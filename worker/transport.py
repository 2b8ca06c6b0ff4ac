"""kombu's Redis transport, made to survive what is not a message.

Whatever else pushes to the queue's list (a script with the wrong key, another program's format)
would end the stock worker with a traceback. Here it goes to the failed store.
"""

import base64
import binascii
import json
from typing import Any

from kombu.transport import redis

from worker.aside import set_aside


class Channel(redis.Channel):
    """A channel that sets aside what is not JSON."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]  # kombu's stubs
        except json.JSONDecodeError as error:
            set_aside(error.doc, "not JSON, so not a message of the queue")
        except UnicodeDecodeError as error:
            set_aside(error.object, "not UTF-8, so not a message of the queue")
        return True


class Transport(redis.Transport):
    """A transport that sets aside JSON which is not a message."""

    Channel = Channel

    def _deliver(self, message: Any, queue: Any) -> None:
        fault = _fault_in(message)
        if fault:
            set_aside(message, f"JSON, but not a message of the queue: {fault}")
        else:
            super()._deliver(message, queue)


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
