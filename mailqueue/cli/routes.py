"""``mailqueue routes``: the ways out, how they are doing, and how to pause and open them."""

import re
import sys
from typing import Any, Final

import click
from rich.table import Table

from mailqueue import routes
from mailqueue.cli import documents, words
from mailqueue.cli.tables import json_option, plain, show, show_json, table
from mailqueue.conf import get_settings
from mailqueue.desk.route_state import LineState, RouteState, configured, every_route, state_of
from mailqueue.routing.ways import Way, ways

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")


def _name(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not _NAME.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no name of a route")
    return value


@click.group("routes")
def command() -> None:
    """List the routes, pause one, open it again."""


@command.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """Show each route: open or not and why, its limits, and how much mail waits for it."""
    ways(get_settings())  # wrong ones are told, not left out
    found = [state_of(name) for name in every_route()]
    if as_json:
        show_json({"routes": list(map(_document, found))})
        return
    show(_table(found))
    for route in found:
        if route.paused:
            show("", *words.pause_and_remedy(route.paused, route.parked))
        if route.way and route.way.choose:
            show("", f"{route.name} chooses from {_shares(route.way)}")


def _document(route: RouteState) -> dict[str, Any]:
    way, (own, *groups) = route.way, route.lines
    return {
        "route": route.name,
        "configured": way is not None,
        "paused": documents.of_pause(route.paused),
        "parked": route.parked,
        "limits": _limits(own),
        "connections": {"held": route.held, "most": way.concurrency}
        if way and way.concurrency
        else None,
        "preset": route.preset,
        "failover": list(way.failover) if way else [],
        "choose": dict(way.choose) if way else {},
        "lines": [
            {"line": line.name, "parked": line.parked, "limits": _limits(line),
             "domains": list(line.domains)}
            for line in (own, *groups)
        ],
    }  # fmt: skip


def _limits(line: LineState) -> list[dict[str, Any]]:
    return [
        {"limit": one.limit.text, "used": one.used, "remaining": one.remaining}
        for one in line.usage
    ]


def _table(found: list[RouteState]) -> Table:
    """A row for each line; columns in which nothing would stand are left out."""
    columns = ["route", "state", ">parked", ">connections", "limits", "preset"]
    rows = [_row(route, line) for route in found for line in route.lines]
    kept = [at for at in range(len(columns)) if at < 3 or any(row[at] for row in rows)]  # noqa: PLR2004
    made = table(*(columns[at] for at in kept))
    for row in rows:
        made.add_row(*(plain(row[at]) for at in kept))
    return made


def _row(route: RouteState, line: LineState) -> list[str]:
    own = line is route.lines[0]
    most = route.way.concurrency if route.way else None
    return [
        line.name,
        words.line_state(route, line),
        f"{line.parked:,}",
        f"{route.held:,} of {most:,}" if own and most and route.held is not None else "",
        "\n".join(f"{one.limit.text}: {one.used:,} used" for one in line.usage),
        (route.preset or "") if own else "",
    ]


def _shares(way: Way) -> str:
    total = sum(way.choose.values())
    return ", ".join(f"{name} ({weight} in {total})" for name, weight in way.choose.items())


@command.command("pause")
@click.argument("name", callback=_name)
@click.option("--reason", default="", help="Why, for those who look.")
def pause(name: str, reason: str) -> None:
    """Hold all mail of a route back until `mailqueue routes resume NAME`.

    Batches in a worker's hands end first; what comes after is parked, its attempts not counted.
    """
    way = configured().get(name)
    if way and way.choose:
        raise click.ClickException(
            f"{name} has no way of its own, it chooses from {_shares(way)}; pause one of these"
        )
    if name not in every_route():
        click.echo(
            f"mailqueue: no route is called {name} here, and no mail went by it so far; "
            "paused all the same",
            err=True,
        )
    routes.pause_by_hand(name, " ".join(reason.split()))
    click.echo(f"{name} is paused; to go on: mailqueue routes resume {name}")


@command.command("resume")
@click.argument("name", required=False, callback=_name)
@click.option("--all", "all_", is_flag=True, help="Every route that is paused.")
def resume(name: str | None, *, all_: bool) -> None:
    """Open a route; the mail that is parked goes out by and by."""
    if (name is None) != all_:
        raise click.UsageError("name one route, or say --all")
    names = [name] if name else [route for route in routes.known() if routes.paused(route)]
    if not names:
        click.echo("no route is paused")
    for route in names:
        parked = routes.parked(route)
        was_paused = routes.resume(route)
        follows = f"; {words.mails(parked)} follow{'s' if parked == 1 else ''}" if parked else ""
        click.echo(f"{route} {'is open' if was_paused else 'was open'}{follows}")
    if name and name not in every_route():
        click.echo(f"mailqueue: no route is called {name}", err=True)
        sys.exit(1)
