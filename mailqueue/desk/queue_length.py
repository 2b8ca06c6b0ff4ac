"""What waits at the broker, asked without taking anything from it."""

import base64
import json
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from mailqueue.conf import get_settings
from mailqueue.envelope import Envelope, Priority
from mailqueue.errors import DecodeError
from mailqueue.settings import Settings
from mailqueue.urls import AMQP_SCHEMES, broker_url, scheme, without_password

#: Seconds; a broker that does not answer must not hold the one who asks.
_CONNECT_TIMEOUT: Final = 3.0
_TIMEOUT: Final = 10.0
#: Batches whose messages are counted at the most: a million messages in batches of 50.
_COUNTED: Final = 20_000
#: Batches that Redis looks through in one step, which nobody else can interrupt.
_CHUNK: Final = 50


class PriorityLength(NamedTuple):
    """What waits of one priority; None for what the broker cannot tell."""

    batches: int
    #: Messages in them. Redis only, and not for a queue beyond all measure.
    messages: int | None = None
    #: Seconds since the epoch at which the oldest mail in the next batch was enqueued. Redis only.
    oldest_at: float | None = None


class QueueLength(NamedTuple):
    """What waits at the broker, all in all; None for what it cannot tell."""

    batches: int | None = None
    messages: int | None = None
    #: Batches that workers have taken and not finished. Redis only.
    taken: int | None = None
    oldest_at: float | None = None
    #: Why nothing is known: the broker's address, and what went wrong.
    trouble: str = ""
    #: The same by priority, the most urgent first; empty where nothing is known.
    by_priority: Mapping[Priority, PriorityLength] = MappingProxyType({})


def queue_length() -> QueueLength:
    """Ask the broker; a broker that does not answer is told in ``trouble``.

    Raises ``ConfigurationError`` for a broker that mailqueue does not speak to.
    """
    # Imported here: Celery's weight, for those only who ask.
    from amqp.exceptions import AMQPError  # noqa: PLC0415
    from kombu.exceptions import KombuError  # noqa: PLC0415
    from redis.exceptions import RedisError  # noqa: PLC0415

    from mailqueue.broker import queue_names  # noqa: PLC0415

    settings = get_settings()
    url = broker_url(settings)
    try:
        with _connection(settings, amqp=scheme(url) in AMQP_SCHEMES) as connection:
            names = queue_names(settings)
            if scheme(url) in AMQP_SCHEMES:
                return _sum({p: _on_rabbitmq(connection, names[p]) for p in names})
            client = connection.channel().client
            return _sum(
                {p: _on_redis(client, names[p]) for p in names},
                taken=int(client.hlen(f"{settings.MAILQUEUE_QUEUE}:unacked")),
            )
    except (OSError, AMQPError, KombuError, RedisError) as error:
        said = str(error) or type(error).__name__
        return QueueLength(trouble=f"{without_password(url)} does not answer: {said}")


def _connection(settings: Settings, *, amqp: bool) -> Any:
    from mailqueue.broker import configuration, make_app  # noqa: PLC0415 - as above

    conf = configuration(settings)
    conf["broker_transport_options"] |= (
        {"read_timeout": _TIMEOUT, "write_timeout": _TIMEOUT}
        if amqp
        else {"socket_connect_timeout": _CONNECT_TIMEOUT, "socket_timeout": _TIMEOUT}
    )
    conf["broker_connection_timeout"] = _CONNECT_TIMEOUT
    connection: Any = make_app(conf).connection_for_read(heartbeat=0)
    try:
        connection._ensure_connection(max_retries=0)  # noqa: SLF001 - no public way to say 0
    except BaseException:
        connection.release()
        raise
    return connection


def _on_rabbitmq(connection: Any, queue: str) -> PriorityLength:
    from amqp.exceptions import NotFound  # noqa: PLC0415 - as above

    try:
        with connection.channel() as channel:
            return PriorityLength(channel.queue_declare(queue, passive=True).message_count)
    except NotFound:  # which also ends the channel
        return PriorityLength(0)  # nothing was ever enqueued


def _on_redis(client: Any, queue: str) -> PriorityLength:
    batches = int(client.llen(queue))
    messages = None
    if batches <= _COUNTED:
        # On the server: what is looked for are some bytes in front of a megabyte.
        script = client.register_script(
            files("mailqueue").joinpath("lua", "batch_sizes.lua").read_text("utf-8")
        )
        messages = sum(
            int(script(keys=[queue], args=[at, at + _CHUNK - 1]))
            for at in range(0, batches, _CHUNK)
        )
    # Producers push on the left, workers take from the right.
    next_batch = client.lindex(queue, -1)
    return PriorityLength(batches, messages, None if next_batch is None else _oldest(next_batch))


def _sum(found: Mapping[Priority, PriorityLength], taken: int | None = None) -> QueueLength:
    messages = [one.messages for one in found.values() if one.messages is not None]
    return QueueLength(
        batches=sum(one.batches for one in found.values()),
        messages=sum(messages) if len(messages) == len(found) else None,
        taken=taken,
        oldest_at=min(
            (one.oldest_at for one in found.values() if one.oldest_at is not None), default=None
        ),
        by_priority=found,
    )


def _oldest(task: bytes) -> float | None:
    """When the oldest mail of a batch was enqueued; None for what is no batch of ours."""
    try:
        arguments, _, _ = json.loads(base64.b64decode(json.loads(task)["body"]))
        return min(Envelope.decode(document).enqueued_at for document in arguments[0])
    except (DecodeError, ValueError, TypeError, LookupError, RecursionError):
        return None
