"""Batches: the envelopes that one task carries, bounded by count *and* bytes.

A batch has one priority and one route: it travels in its priority's queue, and a worker sends it
over its route's connection.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from mailqueue.envelope import Priority
from mailqueue.routing.route import DEFAULT

#: A task's repr in logs and Flower names this many ids; the rest is counted.
_IDS_SHOWN: Final = 10


class Encoded(NamedTuple):
    """An envelope as it travels: its id and its JSON document, and what sorts it."""

    id: str
    data: str
    route: str = DEFAULT
    priority: Priority = "normal"


def cut(envelopes: Iterable[Encoded], *, size: int, max_bytes: int) -> Iterator[list[Encoded]]:
    """Cut into batches of at most ``size`` envelopes and ``max_bytes`` bytes.

    Those of one priority and route stay in order. An envelope larger than ``max_bytes`` travels
    alone: a bound on tasks must not refuse mail.
    """
    open_: dict[tuple[str, str], tuple[list[Encoded], int]] = {}
    for envelope in envelopes:
        kind = envelope.priority, envelope.route
        batch, weight = open_.get(kind) or ([], 0)
        # msgspec writes non-ASCII text as it is, so characters are not bytes.
        added = len(envelope.data) if envelope.data.isascii() else len(envelope.data.encode())
        if batch and (len(batch) >= size or weight + added > max_bytes):
            yield batch
            batch, weight = [], 0
        batch.append(envelope)
        open_[kind] = batch, weight + added
    for batch, _ in open_.values():
        yield batch


def describe(ids: list[str], total_bytes: int) -> str:
    """What people see of a batch in Flower and in logs: counts, size and ids, never content."""
    shown = ", ".join(ids[:_IDS_SHOWN])
    more = f", and {len(ids) - _IDS_SHOWN} more" if len(ids) > _IDS_SHOWN else ""
    return f"({len(ids)} messages, {total_bytes / 1000:.1f} kB: {shown}{more})"
