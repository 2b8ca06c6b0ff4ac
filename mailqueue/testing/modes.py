"""What takes the broker's and the state store's place in tests."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from mailqueue import enqueuing
from mailqueue.batch import Encoded
from mailqueue.conf import get_settings
from mailqueue.envelope import Envelope
from mailqueue.handles import answered_by
from mailqueue.message import EmailMessage
from mailqueue.outcomes import Status
from mailqueue.sending import get_connection
from mailqueue.unpacking import unpack_message

_outboxes: list[list[EmailMessage]] = []
#: Where a captured message keeps its envelope; private, so that it may be sent once more.
_ENVELOPE = "_mailqueue_envelope"


@contextmanager
def capturing(outbox: list[EmailMessage] | None = None) -> Iterator[list[EmailMessage]]:
    """Keep what is enqueued in a list (yours, or a new one), as a worker would rebuild it.

    Nothing is sent.

    Handles answer without a state store: the mail is queued, or cancelled. It stays in the list
    when it is cancelled. Mail with an ``idempotency_key`` that was used is not kept again.
    """
    outbox = [] if outbox is None else outbox
    _outboxes.append(outbox)
    try:
        with _instead(outbox.extend, Status.QUEUED):
            yield outbox
    finally:
        _outboxes.pop()


@contextmanager
def eager() -> Iterator[None]:
    """Deliver what is enqueued at once, over one connection of the delivery backend.

    Errors of the backend are raised where the mail was sent; there is no retry and no store.
    ``eta``, ``delay`` and ``expires`` are checked, and then make no difference. Handles answer
    that it is sent.
    """

    def deliver(messages: list[EmailMessage]) -> None:
        with get_connection(get_settings().MAILQUEUE_DELIVERY_BACKEND) as connection:
            connection.send_messages(messages)

    with _instead(deliver, Status.SENT):
        yield


def outboxes() -> tuple[list[EmailMessage], ...]:
    """The lists of all ``capturing()`` that are in use, the innermost last."""
    return tuple(_outboxes)


def current_outbox() -> list[EmailMessage]:
    """The list of the innermost ``capturing()``. Raises ``RuntimeError`` outside of any."""
    if not _outboxes:
        raise RuntimeError(
            "no mail is being captured: use the fixture mailqueue_outbox, or "
            "`with mailqueue.testing.capturing():`"
        )
    return _outboxes[-1]


def envelope_of(message: EmailMessage) -> Envelope:
    """The envelope that a captured message came in; it has the options that it was enqueued with.

    ``not_before`` and ``expires_at`` are seconds since the epoch. Raises ``ValueError`` for a
    message that was not captured.
    """
    envelope: Envelope | None = getattr(message, _ENVELOPE, None)
    if envelope is None:
        raise ValueError("this message did not come out of capturing() or mailqueue_outbox")
    return envelope


@contextmanager
def _instead(take: Callable[[list[EmailMessage]], object], after: Status) -> Iterator[None]:
    statuses: dict[str, Status] = {}

    def publish(batches: Sequence[Sequence[Encoded]]) -> None:
        # As the ledger has it: one id is one mail.
        new = [item for batch in batches for item in batch if item.id not in statuses]
        take([_rebuilt(item) for item in new])
        statuses.update((item.id, after) for item in new)

    with enqueuing.published_by(publish), answered_by(statuses):
        yield


def _rebuilt(item: Encoded) -> EmailMessage:
    envelope = Envelope.decode(item.data)
    message = unpack_message(envelope)
    vars(message)[_ENVELOPE] = envelope
    return message
