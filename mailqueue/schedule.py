"""The schedule: mail that waits for its time, in the state store, for minutes or for weeks.

- ``schedule``   sorted set: id, scored by when it is due
- ``documents``  hash: id → ``edition|envelope``
- ``parked:ROUTE``  sorted set of ids that wait for their route, not for a time (``routes.py``)

The broker's own delays are no retry queue: on Redis a task that waits longer than the visibility
timeout runs again and again, on RabbitMQ one that waits longer than the consumer timeout ends the
connection, and on both it sits in a worker's memory. So a poller in each worker publishes what is
due. A mail is handed to one poller under a lease, and forgotten when the broker has it: a poller
that dies in between means a second copy at the broker, which the ledger makes harmless.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from mailqueue.scripts import run_script
from mailqueue.state import get_state, key

#: Seconds after which what one poller took and did not publish is handed to another.
LEASE: Final = 30.0
_CHUNK: Final = 500


class Waiting(NamedTuple):
    """A mail in the schedule."""

    id: str
    edition: int
    #: The envelope.
    document: str
    #: Seconds since the epoch when it is due; None: when its route is open again.
    due: float | None = None


def take_due(messages: int, max_bytes: int) -> list[Waiting]:
    """Take mail whose time has come, about ``max_bytes`` bytes of it at the most.

    It is due again when the lease ends.
    """
    found: Any = run_script(
        "take_due", [key("schedule"), key("documents")], [messages, max_bytes, LEASE]
    )
    lease_ends, flat = float(found[0]), found[1:]
    return [
        _waiting(id_, value)._replace(due=lease_ends)
        for id_, value in zip(flat[::2], flat[1::2], strict=True)
    ]


def published(taken: Sequence[Waiting]) -> None:
    """Forget what the broker has now, unless a worker has put it back already."""
    if taken:
        flat = [field for waiting in taken for field in (waiting.id, repr(waiting.due))]
        run_script("published", [key("schedule"), key("documents")], flat)


def count() -> int:
    """How many mails wait for their time."""
    return int(get_state().zcard(key("schedule")))


def entries() -> Iterator[Waiting]:
    """All that wait for their time, the next one first."""
    client = get_state()
    at = 0
    while True:
        page: Any = client.zrange(key("schedule"), at, at + _CHUNK - 1, withscores=True)
        if not page:
            return
        documents: Any = client.hmget(key("documents"), [id_ for id_, _ in page])
        for (id_, due), value in zip(page, documents, strict=True):
            if value is not None:
                yield _waiting(id_, value)._replace(due=due)
        at += len(page)


def find(id_: str) -> Waiting | None:
    """A mail that waits, for its time or its route."""
    client = get_state()
    value: Any = client.hget(key("documents"), id_)
    if value is None:
        return None
    due: Any = client.zscore(key("schedule"), id_)
    return _waiting(id_.encode(), value)._replace(due=due)


def _waiting(id_: bytes, value: bytes) -> Waiting:
    edition, _, document = value.partition(b"|")
    return Waiting(id_.decode(), int(edition), document.decode())
