"""What is wrong with routes, each with its remedy: names, limits, domains, who leads to whom.

Whether a route could deliver (login, TLS, backend) is ``logins.py``'s business.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from mailqueue.limit_text import parse_limit
from mailqueue.routing.arguments import SERVER
from mailqueue.routing.domain_patterns import domain_table
from mailqueue.routing.presets import PRESETS
from mailqueue.routing.route import DEFAULT, Route
from mailqueue.settings import Settings

#: What a route that only chooses among others may say.
_OF_A_CHOICE: Final = frozenset({"name", "choose", "failover", "senders"})


class Problem(NamedTuple):
    """What is wrong, beginning with the setting and the route, and what to do about it."""

    text: str
    remedy: str


def at(route: Route, field: str) -> str:
    """How a field of a route is named in a problem."""
    return f"MAILQUEUE_ROUTES, route {route.name!r}: {field}"


def route_problems(settings: Settings) -> Iterator[Problem]:
    """What is wrong whoever looks at it, a producer too."""
    routes = settings.MAILQUEUE_ROUTES
    known = {DEFAULT, *routes}
    for route in routes.values():
        if route.preset is not None and route.preset not in PRESETS:
            yield Problem(
                f"{at(route, 'preset')}: there is no preset {route.preset!r}",
                f"take one of {', '.join(sorted(PRESETS))}, or leave it out",
            )
        yield from _limits(route)
        yield from _domains(route)
        yield from _options(route)
        yield from _choice(route)
        for field in ("failover", "choose"):
            yield from _targets(route, field, getattr(route, field), known)
    yield from _circles(routes)


def _limits(route: Route) -> Iterator[Problem]:
    named = {"limits": route.limits or ()}
    named |= {f"domains.{group}.limits": rule.limits for group, rule in route.domains.items()}
    for field, limits in named.items():
        for position, text in enumerate(limits):
            try:
                parse_limit(text)
            except ValueError as error:
                yield said(at(route, f"{field}[{position}]"), error)


def _domains(route: Route) -> Iterator[Problem]:
    try:
        domain_table({group: rule.domains for group, rule in route.domains.items()})
    except ValueError as error:
        yield said(at(route, "domains"), error)
    for group, rule in route.domains.items():
        if not rule.domains:
            yield Problem(
                f"{at(route, f'domains.{group}')} names no domain",
                "write domains = ['example.com'], or leave the group out",
            )


def _options(route: Route) -> Iterator[Problem]:
    for name in sorted(route.options.keys() & {*SERVER, "backend", "fail_silently"}):
        remedy = "leave it out" if name == "fail_silently" else f"write it as the route's {name}"
        yield Problem(f"{at(route, f'options.{name}')} is no further argument", remedy)


def _choice(route: Route) -> Iterator[Problem]:
    if not route.choose:
        return
    plain = Route(name=route.name)
    own = [
        name
        for name in route.__struct_fields__
        if name not in _OF_A_CHOICE and getattr(route, name) != getattr(plain, name)
    ]
    if own:
        yield Problem(
            f"{at(route, 'choose')} stands beside {', '.join(own)}: it has no way of its own",
            "put these into the routes that it chooses from",
        )


def _targets(
    route: Route, field: str, targets: Iterable[str], known: set[str]
) -> Iterator[Problem]:
    for target in targets:
        if target == route.name:
            yield Problem(f"{at(route, field)} names the route itself", "leave it out")
        elif target not in known:
            yield Problem(
                f"{at(route, field)} names {target!r}, which is no route",
                f"add it to MAILQUEUE_ROUTES, or take one of {', '.join(sorted(known))}",
            )


def _circles(routes: Mapping[str, Route]) -> Iterator[Problem]:
    """Choices that lead back to themselves. Routes may well be each other's failover."""
    for route in routes.values():
        reached: set[str] = set()
        open_ = [name for name in route.choose if name != route.name]
        while open_:
            name = open_.pop()
            if name not in reached and name in routes:
                reached.add(name)
                open_ += routes[name].choose
        if route.name in reached:
            yield Problem(
                f"{at(route, 'choose')} leads back to it, by {', '.join(sorted(reached))}",
                "choose among routes that send",
            )


def said(where: str, error: ValueError) -> Problem:
    """An error's text, which says what is wrong; and the remedy where it stands in it."""
    text, _, remedy = str(error).partition("; ")
    return Problem(f"{where}: {text}", remedy or "correct it")
