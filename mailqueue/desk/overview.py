"""All numbers of a queue at once: what waits, what is being sent, what came of the rest."""

from typing import Any, Final

import msgspec

from mailqueue import failed, ledger, routes
from mailqueue.desk import waiting
from mailqueue.desk.queue_length import QueueLength, queue_length
from mailqueue.desk.waiting import Kinds
from mailqueue.routes import Paused
from mailqueue.scripts import run_script
from mailqueue.state import get_state, key

#: Entries that the state store looks through in one step; each holds a whole mail.
_CHUNK: Final = 50


class FailedCounts(msgspec.Struct, frozen=True):
    """The failed store in numbers."""

    total: int
    by_reason: dict[str, int]
    #: Seconds since the epoch; None where it is empty.
    oldest_at: float | None
    #: Discarded so far to keep its bounds.
    pruned: int


class RouteCounts(msgspec.Struct, frozen=True):
    """One route in numbers."""

    route: str
    paused: Paused | None
    #: Mails that wait for it.
    parked: int
    #: How often each status was reached.
    totals: dict[str, int]


class Overview(msgspec.Struct, frozen=True):
    """All of it, as of now."""

    queued: QueueLength
    #: Messages in the batches that workers are busy with.
    in_flight: int
    waiting: Kinds
    failed: FailedCounts
    routes: list[RouteCounts]


def overview() -> Overview:
    """Count everything. Raises what redis-py raises where the state store does not answer."""
    # The state store first: without it there is no answer, and the broker need not be asked.
    totals = ledger.totals()
    # It shares the hash with the routes; no status is called so.
    pruned = totals.get("failed", {}).pop("pruned", 0)
    if totals.get("failed") == {}:
        del totals["failed"]
    return Overview(
        in_flight=ledger.in_flight(),
        waiting=waiting.kinds(),
        failed=_failed(pruned),
        routes=[
            RouteCounts(route, routes.paused(route), routes.parked(route), totals.get(route, {}))
            for route in sorted({*routes.known(), *totals})
        ],
        queued=queue_length(),
    )


def _failed(pruned: int) -> FailedCounts:
    by_reason: dict[str, int] = {}
    total = failed.count()
    names = [key("failed"), key("failed", "by-time")]
    for at in range(0, total, _CHUNK):
        flat: Any = run_script("failed_reasons", names, [at, at + _CHUNK - 1])
        for reason, count in zip(flat[::2], flat[1::2], strict=True):
            name = reason.decode()
            by_reason[name] = by_reason.get(name, 0) + int(count)
    oldest: Any = get_state().zrange(key("failed", "by-time"), 0, 0, withscores=True)
    return FailedCounts(
        total, dict(sorted(by_reason.items())), oldest[0][1] if oldest else None, pruned
    )
