"""How each route is doing: paused or open, what waits in its lines, how much of its limits is used.

Only read, for people who look; what a worker does about it is the worker's business.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from mailqueue import leases, ledger, limits, routes
from mailqueue.bounds import all_bounds
from mailqueue.conf import get_settings
from mailqueue.errors import ConfigurationError
from mailqueue.limits import Usage
from mailqueue.routes import Paused
from mailqueue.routing.ways import Way, ways
from mailqueue.state import get_state, key


class LineState(NamedTuple):
    """A line: a route's own, or that of a group of recipient domains on it."""

    #: ``ROUTE``, or ``ROUTE@GROUP``.
    name: str
    #: Mails that wait in it.
    parked: int
    #: Its own limits; those of its route hold besides.
    usage: tuple[Usage, ...] = ()
    #: Recipient domains of the group; empty for a route's own line.
    domains: tuple[str, ...] = ()

    @property
    def full(self) -> list[Usage]:
        """Its own limits that are used up now."""
        return [usage for usage in self.usage if not usage.remaining]


class RouteState(NamedTuple):
    """One route, as of now."""

    name: str
    #: As it is configured; None: it is not, any more or here.
    way: Way | None
    preset: str | None
    paused: Paused | None
    #: Its own line first, then those of its groups.
    lines: tuple[LineState, ...]
    #: Connections that are held; counted only where the route has a number of them.
    held: int | None = None

    @property
    def parked(self) -> int:
        """Mails that wait in all of its lines."""
        return sum(line.parked for line in self.lines)

    @property
    def busy(self) -> bool:
        """True where all of its connections are held."""
        most = self.way.concurrency if self.way else None
        return most is not None and self.held is not None and self.held >= most

    def limits_of(self, line: LineState) -> list[Usage]:
        """All limits that mail in a line has to keep to."""
        own = self.lines[0]
        return [*own.usage, *(line.usage if line is not own else ())]


def configured() -> Mapping[str, Way]:
    """The routes of the settings; none where they are wrong, which ``mailqueue check`` tells."""
    try:
        return ways(get_settings())
    except ConfigurationError:
        return {}


def every_line() -> list[str]:
    """Every line in which mail may wait, of configured routes and of others."""
    groups = (f"{way.name}@{group}" for way in configured().values() for group in way.groups)
    return list(dict.fromkeys([*routes.lines(), *configured(), *groups]))


def every_route() -> list[str]:
    """Routes that are configured, were ever paused, hold mail back or were ever used; sorted."""
    counted = {route for route, totals in ledger.totals().items() if set(totals) != {"pruned"}}
    return sorted({*map(routes.route_of, every_line()), *counted})


def state_of(name: str) -> RouteState:
    """How a route is doing."""
    way = configured().get(name)
    own = [name, *(line for line in every_line() if routes.route_of(line) == name)]
    names = list(dict.fromkeys(own))
    pipe: Any = get_state().pipeline(transaction=False)
    for line in names:
        pipe.zcard(key("parked", line))
    parked = dict(zip(names, pipe.execute(), strict=True))
    found = limits.usage(all_bounds(way)) if way else []
    groups = way.groups if way else {}

    def state(line: str) -> LineState:
        group = groups.get(line.partition("@")[2])
        usage = tuple(one for one in found if one.name == line)
        return LineState(line, parked[line], usage, group.domains if group else ())

    route = get_settings().MAILQUEUE_ROUTES.get(name)
    return RouteState(
        name,
        way,
        route.preset if route else None,
        routes.paused(name),
        tuple(map(state, names)),
        leases.held(name) if way and way.concurrency else None,
    )
