"""``enqueue()``: from messages to envelopes to batches to the broker."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from typing import Any, NamedTuple

from mailqueue import events
from mailqueue.batch import Encoded, cut
from mailqueue.conf import get_settings
from mailqueue.conversion import from_standard, is_message
from mailqueue.envelope import Priority
from mailqueue.errors import EnqueueError
from mailqueue.handles import Handle
from mailqueue.intake import check_message
from mailqueue.options import Moment, OnUnknown, Options, Span, Until, read_options
from mailqueue.packing import pack_message
from mailqueue.routing.checks import check_routes
from mailqueue.routing.choosing import route_for

Batches = Sequence[Sequence[Encoded]]

logger = logging.getLogger("mailqueue.enqueue")


class _Packed(NamedTuple):
    """A message that is ready for the broker."""

    handle: Handle
    encoded: Encoded
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Messages that were checked and encoded, and that the broker does not have yet."""

    _packed: tuple[_Packed, ...] = field(repr=False)  # mail and addresses
    fail_silently: bool = False

    @property
    def handles(self) -> list[Handle]:
        """A handle for each message, in order."""
        return [item.handle for item in self._packed]

    def publish(self) -> list[Handle]:
        """Give them to the broker, once; returns the handles of what it took.

        Raises ``EnqueueError`` where it does not take them, unless they were to fail silently.
        """
        if not self._packed:
            return []
        settings = get_settings()
        batches = list(
            cut(
                (item.encoded for item in self._packed),
                size=settings.MAILQUEUE_BATCH_SIZE,
                max_bytes=settings.MAILQUEUE_BATCH_BYTES,
            )
        )
        events.listeners()  # a wrong name among them is told before the broker has the mail
        try:
            _publish(batches)
        except EnqueueError as error:
            there = set(error.enqueued)
            taken = [item for item in self._packed if item.handle.id in there]
            _note(taken)
            if not self.fail_silently:
                raise
            missing = len(self._packed) - len(taken)
            logger.error(  # noqa: TRY400 - the text says it all; a traceback would repeat it
                "%d of %d messages not enqueued: %s", missing, len(self._packed), error
            )
            return [item.handle for item in taken]
        _note(self._packed)
        return self.handles


def together(parts: Sequence[Prepared]) -> Prepared:
    """Make one of several, which are then published in one go; silent where all of them are."""
    return Prepared(
        tuple(item for part in parts for item in part._packed),  # noqa: SLF001 - this module's own
        all(part.fail_silently for part in parts),
    )


def enqueue(
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
    """Put messages into the queue and return a handle for each, in order.

    Args:
        messages: One message or an iterable of them: ours, Django's, or the standard library's
            (``email.message.EmailMessage``). All are checked and
            encoded before the first is published, so bad input enqueues nothing. Those without
            a recipient are left out, as ``send()`` does.
        fail_silently: Log a broker that cannot be reached and return the handles of what it took
            before; and let the worker's task report a failed delivery in its result instead of
            ending in FAILURE. Bad messages, options and settings raise all the same.
        eta: When it is sent, at the earliest: an aware ``datetime``, or seconds since the epoch.
            What is past is now; ten years ahead is the limit.
        delay: The same from now: seconds or a ``timedelta``.
        expires: When it is not sent any more: seconds or a ``timedelta`` from now (not from
            ``eta``), or an aware ``datetime``. Later than ``eta``.
        on_unknown: What to do when nobody can know whether it was sent: ``"resend"`` or
            ``"hold"``; None means ``MAILQUEUE_ON_UNKNOWN``.
        idempotency_key: The same key means the same mail: the worker sends one of those that are
            enqueued with it, the one that it claims first, for ``MAILQUEUE_LEDGER_TTL`` seconds
            after anything happened to it. Each message of a call counts by its position.
        route: Name of the way out; None: as ``MAILQUEUE_ROUTER`` and the routes' senders say.
        priority: ``"high"`` overtakes ``"normal"``, which overtakes ``"bulk"``.

    Raises:
        EnqueueError: The broker did not take them within ``MAILQUEUE_ENQUEUE_TIMEOUT`` seconds.
        EncodeError: A message holds something that the queue cannot carry.
        ValueError: A message could never be sent (``BadHeaderError``, an invalid address), or an
            option has no meaning, or there is no such route.
        TypeError: An option is of another kind.
        ConfigurationError: A setting is wrong.
    """
    return prepare(
        messages,
        fail_silently=fail_silently,
        eta=eta,
        delay=delay,
        expires=expires,
        on_unknown=on_unknown,
        idempotency_key=idempotency_key,
        route=route,
        priority=priority,
    ).publish()


def prepare(
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
) -> Prepared:
    """Check and encode messages, to be published later: after a transaction, say.

    Takes and raises what ``enqueue`` does, but for the broker, which ``Prepared.publish()`` asks.
    A later change of a message changes nothing; ``delay`` and ``expires`` count from now.
    """
    options = read_options(
        eta=eta,
        delay=delay,
        expires=expires,
        on_unknown=on_unknown,
        idempotency_key=idempotency_key,
        route=route,
        priority=priority,
    )
    check_routes(get_settings(), delivering=False)
    given = [messages] if is_message(messages) else messages
    packed = _pack(given, options, fail_silently=fail_silently)
    return Prepared(tuple(packed), fail_silently)


def _pack(messages: Iterable[Any], options: Options, *, fail_silently: bool) -> list[_Packed]:
    packed: list[_Packed] = []
    for position, given in enumerate(messages):
        message: Any = from_standard(given) if isinstance(given, Message) else given
        recipients = message.recipients()
        if not recipients:
            continue
        check_message(message)
        routed = options._replace(route=route_for(message, options.route))
        envelope = pack_message(
            message, fail_silently=fail_silently, options=routed, position=position
        )
        encoded = Encoded(envelope.id, envelope.encode(), envelope.route, envelope.priority)
        handle = Handle(envelope.id, envelope.message_id)
        packed.append(_Packed(handle, encoded, tuple(map(str, recipients))))
    return packed


def _note(taken: Sequence[_Packed]) -> None:
    """Log and tell what the broker has now; ids alone, since logs go far."""
    if taken:
        logger.info("enqueued messages=%d", len(taken))
    for item in taken:
        logger.debug("enqueued id=%s route=%s", item.handle.id, item.encoded.route)
    if events.wanted():
        for item in taken:
            events.tell(
                events.Event(
                    name="enqueued",
                    id=item.handle.id,
                    message_id=item.handle.message_id,
                    recipients=item.recipients,
                    route=item.encoded.route,
                )
            )


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


def is_replaced() -> bool:
    """Whether something else has the broker's place now: ``mailqueue.testing``, mostly."""
    return _publish is not _to_broker


def warm_up() -> None:
    """Import Celery and connect to the broker now, not with the first mail (60 to 70 ms).

    For a web application's start-up, after any fork. Raises ``EnqueueError`` when the broker
    does not answer.
    """
    from mailqueue.publisher import get_publisher  # noqa: PLC0415 - as in ``_to_broker``

    get_publisher().warm()
