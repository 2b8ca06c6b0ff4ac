"""``mailqueue routes``: the ways out, which of them are paused, and how to open them again."""

import re
import sys
from typing import Final

import click

from mailqueue import ledger, routes
from mailqueue.cli import documents, words
from mailqueue.cli.tables import json_option, plain, show, show_json, table

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
    """Show each route: open or paused and why, and how much mail waits for it."""
    found = [(name, routes.paused(name), routes.parked(name)) for name in _known()]
    if as_json:
        show_json(
            {
                "routes": [
                    {"route": name, "paused": documents.of_pause(paused), "parked": parked}
                    for name, paused, parked in found
                ]
            }
        )
        return
    made = table("route", "state", ">parked", "since", "again", "why")
    for name, paused, parked in found:
        if paused is None:
            made.add_row(plain(name), "open", f"{parked:,}")
            continue
        again = "by hand" if paused.until is None else words.relative(paused.until)
        why = plain(f"{paused.kind}: {paused.reason}" if paused.reason else paused.kind)
        since = words.relative(paused.since)
        made.add_row(plain(name), "paused", f"{parked:,}", since, again, why)
    show(made)
    for _, paused, parked in found:
        if paused:
            show("", *words.pause_and_remedy(paused, parked))


@command.command("pause")
@click.argument("name", callback=_name)
@click.option("--reason", default="", help="Why, for those who look.")
def pause(name: str, reason: str) -> None:
    """Hold all mail of a route back until `mailqueue routes resume NAME`.

    Batches in a worker's hands end first; what comes after is parked, its attempts not counted.
    """
    if name not in _known():
        click.echo(f"mailqueue: no mail went by route {name} so far; paused all the same", err=True)
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
    if name and name not in _known():
        click.echo(f"mailqueue: no route is called {name}", err=True)
        sys.exit(1)


def _known() -> list[str]:
    """Routes that were paused or used at any time."""
    counted = {route for route, totals in ledger.totals().items() if set(totals) != {"pruned"}}
    return sorted({*routes.known(), *counted})
