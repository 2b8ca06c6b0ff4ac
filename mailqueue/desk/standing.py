"""Where one mail stands, as far as the state store knows: ledger, schedule and failed store in one.

A mail that no worker has met yet leaves no trace but its batch at the broker, which cannot be
asked for one mail. So nothing known of an id means: still queued, never here, or forgotten.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from mailqueue import failed, ledger, routes, schedule
from mailqueue.desk.route_state import every_line
from mailqueue.envelope import Envelope
from mailqueue.errors import DecodeError
from mailqueue.failed import Failed, Reason
from mailqueue.ledger import Record
from mailqueue.outcomes import Status
from mailqueue.privacy import without_addresses
from mailqueue.routes import Paused
from mailqueue.schedule import Waiting
from mailqueue.state import get_state, key

#: What the failed store's reasons say of a mail whose record is forgotten.
_BY_REASON: Final[dict[Reason, Status]] = {
    "undecodable": Status.BOUNCED,
    "bounced": Status.BOUNCED,
    "gave up": Status.EXPIRED,
    "expired": Status.EXPIRED,
    "unknown": Status.UNKNOWN,
    "revoked": Status.CANCELLED,
}
#: A record of these speaks of a mail that waits in the schedule, or has left it for the broker.
WAITS: Final = frozenset({Status.SCHEDULED, Status.DEFERRED})


class Standing(NamedTuple):
    """What is known of one mail."""

    id: str
    status: Status
    #: The last reply, without addresses.
    detail: str = ""
    #: Attempts that counted.
    attempts: int = 0
    #: Recipients served, and failed for good, as far as the ledger remembers.
    served: int = 0
    failed: int = 0
    #: Seconds since the epoch of the last change; None where the ledger has no record.
    changed_at: float | None = None
    #: When it is due; None where it waits for no time.
    due: float | None = None
    #: The line in which it waits, ``ROUTE`` or ``ROUTE@GROUP``; empty where it waits in none. With
    #: failover and weights its route is often another one than the envelope's.
    parked: str = ""
    #: That route's pause; None where it is open, and the mail goes as its limits allow.
    paused: Paused | None = None
    #: The mail itself, where the state store has it; it knows the recipients.
    envelope: Envelope | None = None
    #: Its entry in the failed store. Also there while other recipients are still tried.
    kept: Failed | None = None


def standing_of(id_: str) -> Standing | None:
    """Where a mail stands; None where no worker has met it and it waits nowhere.

    Raises what redis-py raises.
    """
    # In this order: whoever moves a mail meanwhile makes it look like what it was a moment ago.
    record = ledger.look_up(id_)
    waiting = schedule.find(id_)
    kept = failed.find(id_)
    if record is None and waiting is None and kept is None:
        return None
    envelope = _read(waiting) or (kept.envelope() if kept else None)
    parked = line_of(id_, every_line()) if waiting and waiting.due is None else ""
    return Standing(
        id_,
        _status(record, waiting, kept, envelope),
        record.detail if record else _last_words(envelope),
        max(record.attempts if record else 0, envelope.attempts if envelope else 0),
        record.served if record else 0,
        record.failed if record else 0,
        record.changed_at if record else None,
        waiting.due if waiting else None,
        parked,
        routes.paused(routes.route_of(parked)) if parked else None,
        envelope,
        kept,
    )


def line_of(id_: str, lines: Sequence[str]) -> str:
    """The one of these lines in which a mail is parked; empty where it is in none of them."""
    pipe: Any = get_state().pipeline(transaction=False)
    for line in lines:
        pipe.zscore(key("parked", line), id_)
    places: list[float | None] = pipe.execute()
    return next((line for line, at in zip(lines, places, strict=True) if at is not None), "")


def _read(waiting: Waiting | None) -> Envelope | None:
    try:
        return Envelope.decode(waiting.document) if waiting else None
    except DecodeError:
        return None


def _status(
    record: Record | None, waiting: Waiting | None, kept: Failed | None, envelope: Envelope | None
) -> Status:
    if record is not None:
        # Put back at the broker: nobody changes the record before a worker claims the mail again.
        at_broker = record.status in WAITS and waiting is None
        return Status.QUEUED if at_broker else record.status
    if waiting is not None:
        # Nobody has met it: its sender named a time. Where it was tried, its record is forgotten.
        return Status.DEFERRED if envelope and envelope.attempts else Status.SCHEDULED
    return _BY_REASON[kept.reason] if kept else Status.QUEUED


def _last_words(envelope: Envelope | None) -> str:
    return without_addresses(envelope.tries[-1].detail) if envelope and envelope.tries else ""
