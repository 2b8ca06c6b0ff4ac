"""Batches: the envelopes that one task carries, bounded by count *and* bytes."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

#: A task's repr in logs and Flower names this many ids; the rest is counted.
_IDS_SHOWN: Final = 10


class Encoded(NamedTuple):
    """An envelope as it travels: its id and its JSON document."""

    id: str
    data: str


def cut(envelopes: Iterable[Encoded], *, size: int, max_bytes: int) -> Iterator[list[Encoded]]:
    """Cut into batches of at most ``size`` envelopes and ``max_bytes`` bytes, in order.

    An envelope larger than ``max_bytes`` travels alone: a bound on tasks must not refuse mail.
    """
    batch: list[Encoded] = []
    weight = 0
    for envelope in envelopes:
        # msgspec writes non-ASCII text as it is, so characters are not bytes.
        added = len(envelope.data) if envelope.data.isascii() else len(envelope.data.encode())
        if batch and (len(batch) >= size or weight + added > max_bytes):
            yield batch
            batch, weight = [], 0
        batch.append(envelope)
        weight += added
    if batch:
        yield batch


def describe(ids: list[str], total_bytes: int) -> str:
    """What people see of a batch in Flower and in logs: counts, size and ids, never content."""
    shown = ", ".join(ids[:_IDS_SHOWN])
    more = f", and {len(ids) - _IDS_SHOWN} more" if len(ids) > _IDS_SHOWN else ""
    return f"({len(ids)} messages, {total_bytes / 1000:.1f} kB: {shown}{more})"
