"""The ledger: per message, what has been claimed and what came of it.

A worker claims its batch here before it sends, marks each message before handing it over, records
each outcome when it is known, and acknowledges the batch last. So a batch that the broker delivers
twice, or again after a crash, resends nothing that was sent; only what a dead worker was handing
over at that moment is unknown.

One record a message, a hash behind the queue's name, ``mail:ID``:

    s  state (``Status``)         e  edition: raised whenever the mail is put back
    o  run that claimed it        c  workers that died while handing it over
    t  time of the last change    d  last reply, without addresses
    n  attempts that counted      ok, bad  recipients served, and failed for good

``runs`` (sorted set) holds the leases of runs, renewed while their process lives: it tells a
worker that is slow from one that is dead.
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from mailqueue.conf import get_settings
from mailqueue.metrics.counts import KEPT, Counts, key_of
from mailqueue.outcomes import Status
from mailqueue.runs import is_surely_dead, messages_of
from mailqueue.scripts import run_script
from mailqueue.state import get_state, key

#: Workers that may die while handing over one and the same mail, before a person has to look.
DEATHS: Final = 5


class Verdict(StrEnum):
    """What may be done with a message; the words of ``lua/claim.lua``, which explains them."""

    GO = "go"
    RESEND = "resend"
    HOLD = "hold"
    POISON = "poison"
    BUSY = "busy"
    PAUSED = "paused"
    OVER = "over"


class Wanted(NamedTuple):
    """A message to claim."""

    id: str
    edition: int
    hold: bool = False


class Settlement(NamedTuple):
    """What came of a claimed message, as it is recorded."""

    id: str
    edition: int
    status: Status
    #: The last reply, without addresses.
    detail: str = ""
    attempts: int = 0
    served: int = 0
    failed: int = 0
    #: The envelope, where the mail waits for another attempt; empty where it does not.
    document: str = ""
    #: Seconds until it is due, by the store's clock: a worker's may be another. Where it is parked:
    #: what its priority is worth in seconds of waiting.
    delay: float = 0.0
    #: It waits for its route, not for a time.
    parked: bool = False
    #: In this line; empty: that of its route.
    line: str = ""


class Record(NamedTuple):
    """What the ledger knows of one message."""

    status: Status
    edition: int
    #: Seconds since the epoch of the last change.
    changed_at: float
    detail: str = ""
    attempts: int = 0
    served: int = 0
    failed: int = 0


def lease_seconds() -> float:
    """Seconds after which a run that is not renewed counts as dead.

    Shorter than the broker takes to hand its batch out again, so that nobody has to wait twice.
    """
    return get_settings().MAILQUEUE_VISIBILITY_TIMEOUT / 3


def claim(run: str, route: str, wanted: Sequence[Wanted]) -> list[Verdict]:
    """Claim a batch in one round trip; a verdict for each message.

    Where the kernel knows that another run is dead, its claims are not waited for.
    """
    words = _claim(run, route, wanted)
    owners = {word.partition(" ")[2] for word in words}
    dead = {owner for owner in owners if owner and is_surely_dead(owner)}
    if dead:
        get_state().zrem(key("runs"), *dead)
        freed = [at for at, word in enumerate(words) if word.partition(" ")[2] in dead]
        again = _claim(run, route, [wanted[at] for at in freed])
        for at, word in zip(freed, again, strict=True):
            words[at] = word
    return [Verdict(word.partition(" ")[0]) for word in words]


def _claim(run: str, route: str, wanted: Sequence[Wanted]) -> list[str]:
    fields = (
        field
        for want in wanted
        for field in (want.id, want.edition, "hold" if want.hold else "resend")
    )
    words: Any = run_script(
        "claim",
        [key("runs"), key("route", route), *(_record(want.id) for want in wanted)],
        [run, lease_seconds(), _kept(), DEATHS, *fields],
    )
    return [word.decode() for word in words]


def begin(run: str, id_: str, edition: int = 0) -> bool:
    """Mark a claimed message as being handed over; False where another run has it by now."""
    return bool(
        run_script("begin", [_record(id_), key("runs")], [run, lease_seconds(), edition, _kept()])
    )


def settle(
    run: str, route: str, outcome: Settlement, following: str = "", counts: Counts | None = None
) -> tuple[bool, bool]:
    """Record an outcome and begin the ``following`` message, in one round trip.

    ``counts`` are added to a worker's metrics in the same step, if the outcome is recorded.

    Returns whether it was recorded (another run may have taken over) and whether the following
    one may be handed over.
    """
    settled, begun = run_script(
        "settle",
        [
            _record(outcome.id),
            _record(following or outcome.id),
            key("schedule"),
            key("documents"),
            key("parked", outcome.line or route),
            key("totals"),
            key("runs"),
            *([key_of(counts.instance)] if counts else []),
        ],
        [
            run,
            outcome.id,
            outcome.edition,
            outcome.status,
            outcome.detail,
            outcome.attempts,
            outcome.served,
            outcome.failed,
            outcome.delay,
            outcome.document,
            int(outcome.parked),
            _kept(),
            route,
            int(bool(following)),
            lease_seconds(),
            *((KEPT, *counts.flat()) if counts else ()),
        ],
    )
    return bool(settled), bool(begun)


def put_off(
    line: str, id_: str, edition: int, document: str, *, delay: float, parked: bool, detail: str
) -> None:
    """Let a message wait that could not be claimed (``Verdict.BUSY``, ``Verdict.PAUSED``)."""
    run_script(
        "put_off",
        [_record(id_), key("schedule"), key("documents"), key("parked", line)],
        [id_, edition, delay, document, int(parked), _kept(), detail],
    )


def renew(runs: Sequence[str]) -> None:
    """Renew the leases of runs that go on."""
    run_script("renew", [key("runs")], [lease_seconds(), *runs])


def finish(run: str) -> None:
    """End a run's lease."""
    get_state().zrem(key("runs"), run)


def cancel(id_: str, lines: Sequence[str]) -> Status:
    """Take a mail back; returns ``CANCELLED``, or the state that kept it from being so.

    ``lines`` are those in which it may be parked (``routes.lines()``).
    """
    word: Any = run_script(
        "cancel",
        [
            _record(id_),
            key("schedule"),
            key("documents"),
            *(key("parked", line) for line in lines),
        ],
        [id_, _kept()],
    )
    return Status(word.decode())


def look_up(id_: str) -> Record | None:
    """What is known of a message; None where no worker has met it, or long ago."""
    found: Any = get_state().hgetall(_record(id_))
    if b"s" not in found:
        return None
    return Record(
        Status(found[b"s"].decode()),
        int(found[b"e"]),
        float(found[b"t"]),
        found.get(b"d", b"").decode(),
        int(found.get(b"n", 0)),
        int(found.get(b"ok", 0)),
        int(found.get(b"bad", 0)),
    )


def in_flight() -> int:
    """Messages in the batches that workers are busy with now."""
    client = get_state()
    seconds, micros = client.time()
    runs: Any = client.zrangebyscore(key("runs"), seconds + micros / 1e6, "+inf")
    return sum(messages_of(run.decode()) for run in runs)


def totals() -> dict[str, dict[str, int]]:
    """How often each status was reached, by route: ``{"default": {"sent": 3}}``."""
    found: Any = get_state().hgetall(key("totals"))
    counts: dict[str, dict[str, int]] = {}
    for name, count in found.items():
        route, _, status = name.decode().rpartition(":")
        counts.setdefault(route, {})[status] = int(count)
    return counts


def _record(id_: str) -> str:
    return key("mail", id_)


def _kept() -> int:
    return math.ceil(get_settings().MAILQUEUE_LEDGER_TTL)
