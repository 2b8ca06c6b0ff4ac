"""What waits in the state store, for its time or for its route, as a whole."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from mailqueue import routes, schedule
from mailqueue.outcomes import Status
from mailqueue.schedule import Waiting
from mailqueue.state import get_state, key

_CHUNK: Final = 500
#: Mails whose records are read to tell deferred from scheduled, at the most.
_TOLD_APART: Final = 20_000


class Kinds(NamedTuple):
    """How many mails wait for their time; None where they are too many to ask for each."""

    total: int
    #: Not tried yet: their sender named a time.
    scheduled: int | None = None
    #: Tried, or put off.
    deferred: int | None = None
    #: On their way out: a person asked for another try, or a worker has them.
    other: int | None = None
    #: Seconds since the epoch; None where nothing waits.
    next_due_at: float | None = None


def kinds() -> Kinds:
    """Count what waits for its time."""
    client = get_state()
    total = schedule.count()
    first: Any = client.zrange(key("schedule"), 0, 0, withscores=True)
    next_due = first[0][1] if first else None
    if total > _TOLD_APART:
        return Kinds(total, next_due_at=next_due)
    counts = {Status.SCHEDULED: 0, Status.DEFERRED: 0, None: 0}
    ids: Any = client.zrange(key("schedule"), 0, -1)
    for at in range(0, len(ids), _CHUNK):
        pipe: Any = client.pipeline(transaction=False)
        for id_ in ids[at : at + _CHUNK]:
            pipe.hget(key("mail", id_.decode()), "s")
        for state in pipe.execute():
            # Without a record no worker has met it, so only its sender can have put it there.
            status = Status(state.decode()) if state else Status.SCHEDULED
            counts[status if status in counts else None] += 1
    return Kinds(
        len(ids), counts[Status.SCHEDULED], counts[Status.DEFERRED], counts[None], next_due
    )


def ids() -> list[str]:
    """All that wait: the next due first, then what is parked."""
    names = [key("schedule"), *(key("parked", route) for route in routes.lines())]
    return [id_.decode() for name in names for id_ in _members(name)]


def entries() -> Iterator[Waiting]:
    """All that wait: the next due first, then what is parked (``due`` is None)."""
    yield from schedule.entries()
    for route in routes.lines():
        for id_ in _members(key("parked", route)):
            found = schedule.find(id_.decode())
            if found is not None and found.due is None:
                yield found


def _members(name: str) -> list[bytes]:
    found: Any = get_state().zrange(name, 0, -1)
    return list(found)
