"""What is wrong with routes, each with its remedy: names, limits, patterns, senders.

Whether a route could deliver (login, TLS, backend) is ``route_logins.py``'s business.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from mailqueue.addresses import envelope_address
from mailqueue.domain_patterns import domain_table, read_pattern
from mailqueue.limit_text import parse_limit
from mailqueue.presets import PRESETS
from mailqueue.route import DEFAULT, Route
from mailqueue.route_arguments import SERVER
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


def naming_problems(settings: Settings) -> Iterator[Problem]:
    """What a producer has to know as well."""
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
    yield from _senders(routes.values())
    yield from _staging(settings)


def _limits(route: Route) -> Iterator[Problem]:
    named = {"limits": route.limits or ()}
    named |= {f"domains.{group}.limits": rule.limits for group, rule in route.domains.items()}
    for field, limits in named.items():
        for position, text in enumerate(limits):
            try:
                parse_limit(text)
            except ValueError as error:
                yield _said(at(route, f"{field}[{position}]"), error)


def _domains(route: Route) -> Iterator[Problem]:
    try:
        domain_table({group: rule.domains for group, rule in route.domains.items()})
    except ValueError as error:
        yield _said(at(route, "domains"), error)
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


def _senders(routes: Iterable[Route]) -> Iterator[Problem]:
    taken: dict[str, str] = {}
    for route in routes:
        for position, text in enumerate(route.senders):
            try:
                sender = read_sender(text)
            except ValueError as error:
                yield _said(at(route, f"senders[{position}]"), error)
                continue
            if (other := taken.setdefault(sender, route.name)) != route.name:
                yield Problem(
                    f"{at(route, f'senders[{position}]')}: {text!r} takes route {other!r} already",
                    "leave it out in one of the two",
                )


def read_sender(text: str) -> str:
    """A sender as senders are compared: an address, or ``@`` and a domain; ``ValueError`` else."""
    if text.startswith("@") and not text.startswith("@*"):
        return f"@{read_pattern(text[1:])[0]}"
    try:
        address = envelope_address(text).lower()
    except ValueError:
        address = ""
    if "@" not in address:
        raise ValueError(f"{text!r} is no sender; write an address, or '@example.com'")
    return address


def _staging(settings: Settings) -> Iterator[Problem]:
    address = settings.MAILQUEUE_REDIRECT_ALL_TO
    if address:
        try:
            fine = "@" in envelope_address(address)
        except ValueError:
            fine = False
        if not fine:
            yield Problem(
                f"MAILQUEUE_REDIRECT_ALL_TO is {address!r}, which is not one address",
                "set it to an address like 'staging@example.com', or unset it",
            )
    for pattern in settings.MAILQUEUE_ALLOWED_DOMAINS:
        try:
            read_pattern(pattern)
        except ValueError as error:
            yield _said("MAILQUEUE_ALLOWED_DOMAINS", error)


def _said(where: str, error: ValueError) -> Problem:
    """An error's text, which says what is wrong; and the remedy where it stands in it."""
    text, _, remedy = str(error).partition("; ")
    return Problem(f"{where}: {text}", remedy or "correct it")
