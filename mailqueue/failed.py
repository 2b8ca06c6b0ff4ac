"""The failed store: what ended without being sent, kept whole, for people to look at.

Keys in the state store, both behind the queue's name:

- ``failed``          hash: id → ``Failed`` as JSON
- ``failed:by-time``  sorted set: id, scored by the time it was kept

An entry is written before its task is acknowledged, so a crash in between leaves it here and in
the queue, never in neither. A mail whose recipients fail one after the other has one entry, for
all of them. Its bounds (``MAILQUEUE_FAILED_MAX_AGE``, ``MAILQUEUE_FAILED_MAX_COUNT``) are kept by
``prune()``, which a worker runs and logs.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

import msgspec
import redis

from mailqueue.envelope import Envelope, Try
from mailqueue.errors import DecodeError
from mailqueue.state import get_state, key

#: Why it was not sent. ``unknown``: it may have been; ``gave up``: deferred until it was too old;
#: ``revoked``: somebody revoked or terminated its batch, in Flower for example.
Reason = Literal["undecodable", "bounced", "gave up", "expired", "unknown", "revoked"]
_CHUNK: Final = 500
#: Entries that are fetched at once; each holds a whole mail.
_PAGE: Final = 100


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

    def envelope(self) -> Envelope | None:
        """The mail; None where it cannot be read."""
        try:
            return Envelope.decode(self.data)
        except DecodeError:
            return None


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Failed).decode


def keep_message(
    envelope: Envelope, reason: Reason, detail: str, last_try: Try | None = None
) -> None:
    """Keep a mail that will not be tried again, for the recipients that its envelope names.

    ``last_try`` is the attempt that it came of, where that said more than ``detail``.
    """
    now = time.time()
    tries = (*envelope.tries, last_try or Try(now, detail))
    tried = msgspec.structs.replace(envelope, tries=tries)
    before = find(envelope.id)
    merged = _merged(before, tried) if before else tried
    if before and merged is not tried and detail != before.detail:
        detail = f"{before.detail}; {detail}"
    _keep(Failed(envelope.id, reason, detail, merged.encode().encode(), now, envelope.attempts))


def _merged(before: Failed, envelope: Envelope) -> Envelope:
    """The envelope, for the recipients that failed before, too."""
    earlier = before.envelope()
    if earlier is None or earlier.recipients is None or envelope.recipients is None:
        return envelope
    added = [r for r in envelope.recipients if r not in earlier.recipients]
    known = set(envelope.tries)
    return msgspec.structs.replace(
        envelope,
        recipients=(*earlier.recipients, *added),
        tries=(*(one for one in earlier.tries if one not in known), *envelope.tries),
    )


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


def find(id_: str) -> Failed | None:
    """One entry."""
    found: Any = get_state().hget(key("failed"), id_)
    return None if found is None else read(id_, found)


def read(id_: str, data: bytes) -> Failed:
    """Read an entry as it is stored; one of another version stands for itself, as it is."""
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeError) as error:
        return Failed(id_, "undecodable", f"an entry of another version: {error}", data, 0.0)


def entries(*, newest_first: bool = False) -> Iterator[Failed]:
    """All entries, the oldest first. What is kept or discarded meanwhile may be missed."""
    client = get_state()
    ids: Any = client.zrange(key("failed", "by-time"), 0, -1, desc=newest_first)
    for at in range(0, len(ids), _PAGE):
        chunk = ids[at : at + _PAGE]
        found: Any = client.hmget(key("failed"), chunk)
        for id_, data in zip(chunk, found, strict=True):
            if data is not None:
                yield read(id_.decode(), data)


def discard(ids: Sequence[str]) -> int:
    """Forget entries for good; returns how many there were."""
    if not ids:
        return 0
    pipe: Any = get_state().pipeline(transaction=True)
    pipe.hdel(key("failed"), *ids)
    pipe.zrem(key("failed", "by-time"), *ids)
    return int(pipe.execute()[0])


def prune(max_age: float, max_count: int) -> int:
    """Discard what is older than ``max_age`` seconds, and the oldest beyond ``max_count``.

    Returns how many, at most some hundreds a call; how many ever is in the ledger's totals as
    ``pruned``.
    """
    client = get_state()
    by_time = key("failed", "by-time")
    limit = time.time() - max_age
    old: Any = client.zrangebyscore(by_time, "-inf", limit, start=0, num=_CHUNK)
    if not old:
        excess = int(client.zcard(by_time)) - max_count
        old = client.zrange(by_time, 0, min(excess, _CHUNK) - 1) if excess > 0 else []
    dropped = discard([id_.decode() for id_ in old])
    if dropped:
        client.hincrby(key("totals"), "failed:pruned", dropped)
    return dropped
