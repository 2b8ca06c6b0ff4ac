"""Events: what happens to mail, told to functions of the application.

``MAILQUEUE_EVENTS`` names functions by dotted path; each is called with every ``Event``, in the
process where it happens: ``enqueued`` in the application, the others in a worker, after the outcome
is recorded. ``subscribe()`` does the same from code. A function that raises is logged and changes
nothing; one that is slow makes enqueuing or delivery slow.

An event is told once at the most: a worker that is killed between recording an outcome and
telling it tells nothing. The ledger is the truth.
"""

import logging
import time
from collections.abc import Callable
from functools import cache
from typing import Final, Literal

import msgspec

from mailqueue.conf import get_settings
from mailqueue.loading import load
from mailqueue.privacy import without_addresses

logger = logging.getLogger("mailqueue.events")

Name = Literal["enqueued", "sent", "deferred", "bounced", "expired", "unknown"]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a mail."""

    name: Name
    #: The mail's id, as in its handle.
    id: str
    message_id: str = ""
    #: Those recipients that it concerns; addresses, so mind where they go.
    recipients: tuple[str, ...] = ()
    #: The server's reply, or what went wrong.
    detail: str = ""
    route: str = "default"
    #: Attempts that counted so far.
    attempts: int = 0
    #: Seconds since the epoch.
    at: float = msgspec.field(default_factory=time.time)


Handler = Callable[[Event], object]
_subscribed: Final[list[Handler]] = []


def subscribe(handler: Handler) -> Handler:
    """Call ``handler`` with each event of this process; usable as a decorator."""
    if handler not in _subscribed:
        _subscribed.append(handler)
    return handler


def unsubscribe(handler: Handler) -> None:
    """Undo ``subscribe()``."""
    if handler in _subscribed:
        _subscribed.remove(handler)


def wanted() -> bool:
    """True where somebody listens; events need not be made for nobody."""
    return bool(_subscribed or get_settings().MAILQUEUE_EVENTS)


def listeners() -> tuple[Handler, ...]:
    """Everybody who listens.

    Raises ``ConfigurationError`` where ``MAILQUEUE_EVENTS`` names what is not there. So whoever
    calls this before mail changes hands need not fear ``tell()`` afterwards.
    """
    return (*_subscribed, *map(load_handler, get_settings().MAILQUEUE_EVENTS))


def tell(event: Event) -> None:
    """Call everybody who listens. Raises as ``listeners()`` does."""
    for handler in listeners():
        try:
            handler(event)
        except Exception as error:  # noqa: BLE001 - a stranger's code; mail is not to suffer from it
            text = without_addresses(f"{type(error).__name__}: {error}")
            logger.error(  # noqa: TRY400 - a traceback might show an address
                "event handler %r failed for %s %s: %s", handler, event.name, event.id, text
            )


@cache
def load_handler(path: str) -> Handler:
    """The function at a dotted path.

    Raises ``ConfigurationError`` where there is none.
    """
    handler: Handler = load(path, "MAILQUEUE_EVENTS", "a function that takes an Event")
    return handler
