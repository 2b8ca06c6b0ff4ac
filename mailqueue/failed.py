"""The failed store: what ended without being sent, kept whole, for people to look at.

Keys in the state store, both behind the queue's name:

- ``failed``          hash: id → ``Failed`` as JSON
- ``failed:by-time``  sorted set: id, scored by the time it was kept

An entry is written before its task is acknowledged, so a crash in between leaves it here and in
the queue, never in neither. Keeping the same id again replaces the entry.
"""

import hashlib
import time
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec
import redis

from mailqueue.envelope import Envelope
from mailqueue.state import get_state, key

Reason = Literal["undecodable", "bounced", "gave up"]


class Failed(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry."""

    #: The mail's id, or a digest of what could not be decoded.
    id: str
    reason: Reason
    #: What was wrong, in words; replies of servers as they came.
    detail: str
    #: The envelope's JSON document, or whatever arrived in its place.
    data: bytes
    #: Seconds since the epoch.
    kept_at: float
    #: Delivery attempts made.
    attempts: int = 0


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Failed).decode


def keep_message(envelope: Envelope, reason: Reason, detail: str, attempts: int) -> None:
    """Keep a mail that will not be tried again."""
    data = envelope.encode().encode()
    _keep(Failed(envelope.id, reason, detail, data, time.time(), attempts))


def keep_undecodable(data: object, detail: str) -> str:
    """Keep what is not an envelope of ours; returns the id under which it is found."""
    raw = data if isinstance(data, bytes) else _as_bytes(data)
    id_ = hashlib.sha256(raw).hexdigest()[:32]
    _keep(Failed(id_, "undecodable", detail, raw, time.time()))
    return id_


def _as_bytes(data: object) -> bytes:
    if isinstance(data, str):
        return data.encode("utf-8", "surrogatepass")
    try:
        return msgspec.json.encode(data)
    except (TypeError, ValueError):
        return repr(data).encode("utf-8", "surrogatepass")


def _keep(entry: Failed) -> None:
    pipe: Any = get_state().pipeline(transaction=True)
    pipe.hset(key("failed"), entry.id, _encode(entry))
    pipe.zadd(key("failed", "by-time"), {entry.id: entry.kept_at})
    pipe.execute()


def count(client: redis.Redis | None = None) -> int:
    """How many entries there are."""
    return int((client or get_state()).hlen(key("failed")))


def entries() -> Iterator[Failed]:
    """All entries, the oldest first."""
    client = get_state()
    ids: Any = client.zrange(key("failed", "by-time"), 0, -1)
    for id_ in ids:
        found: Any = client.hget(key("failed"), id_)
        if found is not None:
            yield _decode(found)
