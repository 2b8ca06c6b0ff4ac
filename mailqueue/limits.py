"""Limits of rate, shared by all workers: how many messages, or recipients, in how many seconds.

Before a message is sent, all limits that concern it (its route's, its domain's) are asked in one
step, by Redis's clock. If all of them have room within the caller's patience, its place is booked
in each, and the caller sleeps until then: first come, first served. Otherwise nothing is booked.

**Time is cut into slices**, and each limit keeps how much is booked in which, also ahead of now.
A period touches one slice more than it has; that many in a row never hold more than the limit
allows. So *no* stretch of time is above the limit, wherever it begins, and about 5 % is left for
messages that reach the server a little later than they were granted. The common one number a limit
(a bucket, GCRA) does not do here: it cannot tell a place that is booked a second ahead, because a
domain is busy, from one that is used now; either others would wait for nothing, or both would be
sent in the same second.

- **Under a minute it is a pace**: a slice is a twentieth of the period, and takes a twentieth of
  the count, so there are no bursts after idle time either.
- **From a minute on it is a quota**: all of it may be used at once, and each slice, a sixtieth,
  comes free when it is a period old. Providers count like this ("30 a minute", "in 24 hours"); who
  wants a pace as well adds one: ``["30/min", "2/s"]``.

**One message is not divisible.** Towards a pace in recipients, one with many goes when its turn
has come, and those after it wait until all of its recipients are made up for: the average holds,
and it is not overtaken for ever by small ones. Towards a quota all its recipients have to fit; with
more of them than the quota's whole count it goes when nothing else is in the period.

Keys, behind the queue's name: ``limit:NAME:WHAT/SECONDSs``, the slices as a msgpack array, the
first one's number before them. The count is not in the name: who raises a limit keeps what is used.
"""

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from mailqueue.limit_text import RECIPIENTS, Limit
from mailqueue.scripts import run_script
from mailqueue.state import key

#: Seconds; limits of shorter periods are a pace, of longer ones a quota.
QUOTA_FROM: Final = 60
_PACE_SLICES: Final = 20
_QUOTA_SLICES: Final = 60
#: A pace makes up for a message's recipients for this many periods; more are forgiven.
_MOST_PERIODS: Final = 100


class Bound(NamedTuple):
    """A limit, and what shares it: those of one name (``default``, ``default:gmail``) do."""

    name: str
    limit: Limit


class Booking(NamedTuple):
    """A place in one limit."""

    key: str
    slice: int
    units: int


class Taken(NamedTuple):
    """What came of asking for one message."""

    granted: bool
    #: Seconds: until it may be sent; not granted: until it is worth asking again.
    wait: float
    #: The same as a moment, seconds since the epoch by Redis's clock; 0.0 without any limit.
    at: float = 0.0
    booked: tuple[Booking, ...] = ()


class Usage(NamedTuple):
    """How much of a limit is used."""

    name: str
    limit: Limit
    #: In the period that ends now; what is booked ahead is not in it.
    used: int
    remaining: int


def take(bounds: Sequence[Bound], recipients: int = 1, *, patience: float) -> Taken:
    """Ask for one message; its place is booked if all limits have one within ``patience`` seconds.

    The caller sends after ``wait`` seconds, or gives the place back. Patience is a matter of a few
    seconds: what is booked ahead has to be looked through at each call.
    """
    bounds = _distinct(bounds)
    if not bounds:
        return Taken(granted=True, wait=0.0)
    keys = [_key(bound) for bound in bounds]
    arguments: list[str | bytes | float] = ["take", _microseconds(patience)]
    units = [_units(limit, recipients) for _, limit in bounds]
    for (_, limit), wanted in zip(bounds, units, strict=True):
        arguments += [*_shape(limit), wanted, 1 if _is_pace(limit) else wanted]
    granted, wait, at, *slices = run_script("limits", keys, arguments)
    booked = tuple(map(Booking, keys, slices, units)) if granted else ()
    return Taken(bool(granted), wait / 1e6, at / 1e6, booked)


def give_back(taken: Taken) -> None:
    """Give back the place of a message that was not sent after all."""
    if taken.booked:
        arguments = [part for booking in taken.booked for part in (booking.slice, booking.units)]
        run_script("give_back", [booking.key for booking in taken.booked], arguments)


def room(bounds: Sequence[Bound], seconds: float, *, most: int) -> int:
    """How many messages to one recipient could go within ``seconds``, counted up to ``most``."""
    return min((free for _, free in _look(_distinct(bounds), seconds, most)), default=most)


def usage(bounds: Sequence[Bound]) -> list[Usage]:
    """How much of each limit is used, for a person to read."""
    bounds = _distinct(bounds)
    return [
        Usage(name, limit, used, max(0, limit.count - used))
        for (name, limit), (used, _) in zip(bounds, _look(bounds, 0, 0), strict=True)
    ]


def _look(bounds: Sequence[Bound], seconds: float, most: int) -> list[tuple[int, int]]:
    """For each limit what is used, and what could go within ``seconds``; nothing is booked."""
    if not bounds:
        return []
    arguments: list[str | bytes | float] = ["look", _microseconds(seconds)]
    for _, limit in bounds:
        arguments += [*_shape(limit), most, 1]
    flat: Any = run_script("limits", [_key(bound) for bound in bounds], arguments)
    return list(zip(flat[::2], flat[1::2], strict=True))


def _distinct(bounds: Sequence[Bound]) -> list[Bound]:
    """Of limits that count the same over the same period, the lowest: they share a key."""
    lowest: dict[str, Bound] = {}
    for bound in bounds:
        known = lowest.setdefault(_key(bound), bound)
        if bound.limit.count < known.limit.count:
            lowest[_key(bound)] = bound
    return list(lowest.values())


def _key(bound: Bound) -> str:
    return key("limit", bound.name, f"{bound.limit.what}/{bound.limit.per_seconds}s")


def _is_pace(limit: Limit) -> bool:
    return limit.per_seconds < QUOTA_FROM


def _units(limit: Limit, recipients: int) -> int:
    """What one message counts."""
    if limit.what != RECIPIENTS:
        return 1
    return min(max(1, recipients), limit.count * (_MOST_PERIODS if _is_pace(limit) else 1))


def _shape(limit: Limit) -> list[int]:
    """Count, most in one slice, slices in a period, microseconds of a slice."""
    pace = _is_pace(limit)
    slices = _PACE_SLICES if pace else _QUOTA_SLICES
    burst = math.ceil(limit.count / slices) if pace else limit.count
    # Whole microseconds: a moment and the number of its slice are computed from each other.
    return [limit.count, burst, slices, math.ceil(limit.per_seconds * 1_000_000 / slices)]


def _microseconds(seconds: float) -> int:
    return max(0, round(seconds * 1_000_000))
