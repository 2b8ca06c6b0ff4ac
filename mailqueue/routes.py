"""Routes: the named ways out, and whether they are open.

A reply that concerns the account (a login that is refused, a daily quota) or a server that cannot
be reached is nobody's fault among the messages. It pauses the route for all workers. Their mail is
*parked*: kept in the state store, its attempts not counted. A pause ends

- by time, where the server only wants us slower;
- by a probe: when the time has come, one mail is let through, and if it is sent, all follow;
- by a person: ``mailqueue routes resume``.

Mail over a limit is parked as well, and let go as the limit allows. Each route has a *line* of its
name, and one for each group of recipient domains that has limits of its own (``ROUTE@GROUP``), so
that a domain which is full holds up no other.

Keys, behind the queue's name: ``route:NAME`` (hash; there while it is paused), ``route:NAME:steps``
(pauses in a row), ``route:NAME:failures`` (failures to connect in a row), ``parked:LINE``
(sorted set: id, scored by when it came, the urgent ones long before), ``routes`` (names that were
ever paused or had mail in their line), ``lines`` (of groups, that were ever used),
``released:LINE`` (there for a moment after mail of a limited line was let go).
"""

from typing import Any, Final, NamedTuple

from mailqueue.scripts import run_script
from mailqueue.state import get_state, key

DEFAULT: Final = "default"
#: The kind of a pause that a person asked for.
MANUAL: Final = "manual"


class Paused(NamedTuple):
    """A route that is paused."""

    route: str
    #: ``login``, ``quota`` …, or ``manual``.
    kind: str
    #: What was said, without addresses.
    reason: str
    #: Seconds since the epoch.
    since: float
    #: When it is tried again; None: when a person says so.
    until: float | None
    #: The mail that tries it now.
    probe: str = ""


def pause(
    route: str, kind: str, reason: str, *, first: float, longest: float, probe: bool, id_: str = ""
) -> float:
    """Pause a route: ``first`` seconds, doubled each time in a row up to ``longest``.

    ``id_`` is the mail that met the trouble; if it was the probe, the pause is lengthened.
    Returns the seconds until the route is tried again (-1.0: when a person says so).
    """
    seconds: Any = run_script(
        "pause",
        [key("route", route), key("route", route, "steps"), key("routes")],
        [route, kind, first, longest, int(probe), reason, id_],
    )
    return float(seconds)


def pause_by_hand(route: str, reason: str) -> None:
    """Pause a route until a person resumes it."""
    pause(route, MANUAL, reason, first=1, longest=1, probe=False)


def resume(route: str) -> bool:
    """Open a route; what is parked goes out by and by. Returns False where it was open."""
    client = get_state()
    gone: Any = client.delete(key("route", route))
    client.delete(key("route", route, "steps"), key("route", route, "failures"))
    return bool(gone)


def worked(route: str, id_: str) -> bool:
    """Note that a mail went out; True where that was the probe that opens the route again."""
    names = ("route", route), ("route", route, "steps"), ("route", route, "failures")
    return bool(run_script("worked", [key(*name) for name in names], [id_]))


def take_probe(route: str, id_: str) -> bool:
    """Let a mail try a route that was paused for long enough; False where it may not."""
    return bool(run_script("take_probe", [key("route", route)], [id_]))


def is_probe(route: str, id_: str) -> bool:
    """True for the mail that was let through a pause to try the route."""
    found: Any = get_state().hget(key("route", route), "probe")
    return bool(id_) and found == id_.encode()


def connecting_failed(route: str) -> int:
    """Note that the server could not be reached; returns how often in a row, over all workers."""
    pipe: Any = get_state().pipeline(transaction=True)
    pipe.incr(key("route", route, "failures"))
    pipe.expire(key("route", route, "failures"), 600)
    return int(pipe.execute()[0])


def release(line: str, messages: int) -> tuple[int, bool]:
    """Let parked mail go where its route is open, or one as a probe where its time has come.

    Returns how many, and whether that was a probe.
    """
    names = key("route", route_of(line)), key("parked", line), key("schedule")
    released, probe = run_script("release", names, [messages])
    return int(released), bool(probe)


def let_go(line: str, messages: int) -> int:
    """Let parked mail go, whatever its line's own route says: another one is open, or to be tried.

    Returns how many.
    """
    names = key("route", ""), key("parked", line), key("schedule")  # no route has no name
    return int(run_script("release", names, [messages])[0])


def route_of(line: str) -> str:
    """The route that a line belongs to."""
    return line.partition("@")[0]


def open_line(route: str, group: str = "") -> str:
    """The line of a route, or of a group of domains on it; ``lines()`` finds it from now on."""
    line = f"{route}@{group}" if group else route
    get_state().sadd(key("lines" if group else "routes"), line)
    return line


def turn(line: str, seconds: float) -> bool:
    """Whether it is the caller's turn to let mail of a line go; if so, nobody's for a while."""
    return bool(get_state().set(key("released", line), "", px=round(seconds * 1000), nx=True))


def lines() -> list[str]:
    """Every line in which mail may be parked."""
    names: Any = get_state().smembers(key("lines"))
    return [*known(), *sorted(name.decode() for name in names)]


def known() -> list[str]:
    """The default route, and each that was ever paused or had mail in its line."""
    names: Any = get_state().smembers(key("routes"))
    return sorted({DEFAULT, *(name.decode() for name in names)})


def paused(route: str) -> Paused | None:
    """The pause of a route, if it is paused."""
    found: Any = get_state().hgetall(key("route", route))
    if b"kind" not in found:
        return None
    until = found.get(b"until")
    return Paused(
        route,
        found[b"kind"].decode(),
        found[b"reason"].decode(),
        float(found[b"since"]),
        None if until is None else float(until),
        found.get(b"probe", b"").decode(),
    )


def parked(route: str) -> int:
    """How many mails wait for a route, in all of its lines."""
    pipe: Any = get_state().pipeline(transaction=False)
    for line in lines():
        if route_of(line) == route:
            pipe.zcard(key("parked", line))
    if route not in known():
        pipe.zcard(key("parked", route))
    return sum(pipe.execute())
