"""``enqueue()``: from messages to envelopes to batches to the broker."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from email.message import Message
from typing import Any, NamedTuple

from mailqueue.batch import Encoded, cut
from mailqueue.conf import get_settings
from mailqueue.conversion import from_standard, is_message
from mailqueue.errors import EnqueueError
from mailqueue.intake import check_message
from mailqueue.packing import pack_message

Batches = Sequence[Sequence[Encoded]]

logger = logging.getLogger("mailqueue.enqueue")


class Handle(NamedTuple):
    """What the caller gets for an enqueued message."""

    #: Names the mail in the queue, in logs and in Flower.
    id: str
    #: Its Message-ID header, the same in every attempt.
    message_id: str


def enqueue(messages: Any | Iterable[Any], *, fail_silently: bool = False) -> list[Handle]:
    """Put messages into the queue and return a handle for each, in order.

    Args:
        messages: One message or an iterable of them: ours, Django's, or the standard library's
            (``email.message.EmailMessage``). All are checked and
            encoded before the first is published, so bad input enqueues nothing. Those without
            a recipient are left out, as ``send()`` does.
        fail_silently: Log a broker that cannot be reached and return the handles of what it took
            before; and let the worker's task report a failed delivery in its result instead of
            ending in FAILURE. Bad messages and bad settings raise all the same.

    Raises:
        EnqueueError: The broker did not take them within ``MAILQUEUE_ENQUEUE_TIMEOUT`` seconds.
        EncodeError: A message holds something that the queue cannot carry.
        ValueError: A message could never be sent (``BadHeaderError``, an invalid address).
        ConfigurationError: A setting is wrong.
    """
    settings = get_settings()
    handles: list[Handle] = []
    encoded: list[Encoded] = []
    for given in [messages] if is_message(messages) else messages:
        message: Any = from_standard(given) if isinstance(given, Message) else given
        if not message.recipients():
            continue
        check_message(message)
        envelope = pack_message(message, fail_silently=fail_silently)
        encoded.append(Encoded(envelope.id, envelope.encode()))
        handles.append(Handle(envelope.id, envelope.message_id))
    if not encoded:
        return []
    batches = list(
        cut(encoded, size=settings.MAILQUEUE_BATCH_SIZE, max_bytes=settings.MAILQUEUE_BATCH_BYTES)
    )
    try:
        _publish(batches)
    except EnqueueError as error:
        if not fail_silently:
            raise
        taken = set(error.enqueued)
        logger.error(  # noqa: TRY400 - the text says it all; a traceback would repeat it
            "%d of %d messages not enqueued: %s", len(encoded) - len(taken), len(encoded), error
        )
        return [handle for handle in handles if handle.id in taken]
    return handles


def _to_broker(batches: Batches) -> None:
    # Imported here, and so Celery with it: a program that never sends mail never pays for it.
    from mailqueue.publisher import get_publisher  # noqa: PLC0415

    get_publisher().publish(batches)


_publish: Callable[[Batches], None] = _to_broker


@contextmanager
def published_by(publish: Callable[[Batches], None]) -> Iterator[None]:
    """Let something else take the broker's place, for this process; see ``mailqueue.testing``."""
    global _publish  # noqa: PLW0603 - the process has one broker, and so one stand-in
    before, _publish = _publish, publish
    try:
        yield
    finally:
        _publish = before


def warm_up() -> None:
    """Import Celery and connect to the broker now, not with the first mail (60 to 70 ms).

    For a web application's start-up, after any fork. Raises ``EnqueueError`` when the broker
    does not answer.
    """
    from mailqueue.publisher import get_publisher  # noqa: PLC0415 - as in ``_to_broker``

    get_publisher().warm()
