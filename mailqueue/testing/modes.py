"""What takes the broker's place in tests."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mailqueue import enqueuing
from mailqueue.batch import Encoded
from mailqueue.conf import get_settings
from mailqueue.envelope import Envelope
from mailqueue.message import EmailMessage
from mailqueue.sending import get_connection
from mailqueue.unpacking import unpack_message

_outboxes: list[list[EmailMessage]] = []


@contextmanager
def capturing() -> Iterator[list[EmailMessage]]:
    """Keep what is enqueued in a list, as a worker would rebuild it; nothing is sent."""
    outbox: list[EmailMessage] = []

    def keep(batches: Sequence[Sequence[Encoded]]) -> None:
        outbox.extend(_rebuilt(batches))

    _outboxes.append(outbox)
    try:
        with enqueuing.published_by(keep):
            yield outbox
    finally:
        _outboxes.pop()


@contextmanager
def eager() -> Iterator[None]:
    """Deliver what is enqueued at once, over one connection of the delivery backend.

    Errors of the backend are raised where the mail was sent; there is no retry and no store.
    """

    def deliver(batches: Sequence[Sequence[Encoded]]) -> None:
        with get_connection(get_settings().MAILQUEUE_DELIVERY_BACKEND) as connection:
            connection.send_messages(_rebuilt(batches))

    with enqueuing.published_by(deliver):
        yield


def current_outbox() -> list[EmailMessage]:
    """The list of the innermost ``capturing()``. Raises ``RuntimeError`` outside of any."""
    if not _outboxes:
        raise RuntimeError(
            "no mail is being captured: use the fixture mailqueue_outbox, or "
            "`with mailqueue.testing.capturing():`"
        )
    return _outboxes[-1]


def _rebuilt(batches: Sequence[Sequence[Encoded]]) -> list[EmailMessage]:
    return [unpack_message(Envelope.decode(item.data)) for batch in batches for item in batch]
