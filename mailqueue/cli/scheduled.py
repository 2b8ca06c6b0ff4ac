"""``mailqueue scheduled``: what waits for its time or its route, and taking mail back."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import click

from mailqueue import ledger, routes, schedule
from mailqueue.cli import words
from mailqueue.cli.tables import as_id, confirm, json_option, plain, show, show_json, table
from mailqueue.desk import waiting
from mailqueue.desk.recipients import domains
from mailqueue.desk.route_state import every_line
from mailqueue.desk.standing import line_of
from mailqueue.envelope import Envelope
from mailqueue.errors import DecodeError
from mailqueue.outcomes import Status
from mailqueue.progress import progress_bar, track
from mailqueue.schedule import Waiting


@click.group("scheduled")
def command() -> None:
    """List mail that waits for its time or its route, or take it back."""


@command.command("list")
@click.option("--limit", type=click.IntRange(0), default=50, show_default=True, help="0: all.")
@json_option
def list_(limit: int, *, as_json: bool) -> None:
    """Show what waits: the next due first, then what is parked for its route."""
    found_in = {routes.route_of(line) for line in routes.lines()}
    total = schedule.count() + sum(map(routes.parked, found_in))
    found = list(_documents(limit, total))
    if as_json:
        show_json({"total": total, "entries": found})
        return
    made = table("id", "due", "status", ">tries", "to")
    for entry in found:
        due = f"route {entry['parked_for']}" if entry["parked_for"] else "now"
        if entry["due_at"] is not None:
            due = words.relative(entry["due_at"])
        made.add_row(
            plain(f"{entry['id']}\n{entry['reply']}".rstrip()),
            plain(due),
            entry["status"],
            str(entry["attempts"]),
            plain(", ".join(entry["domains"])),
        )
    if found:
        show(made)
    more = total - len(found)
    click.echo(f"{words.mails(total)}" + (f", {len(found):,} shown (--limit)" if more > 0 else ""))


def _documents(limit: int, total: int) -> Iterator[dict[str, Any]]:
    lines = every_line()
    with progress_bar() as bar:
        task = bar.add_task("reading", total=min(limit or total, total))
        for number, entry in enumerate(waiting.entries()):
            if limit and number >= limit:
                return
            yield _document(entry, lines)
            bar.advance(task)


def _document(entry: Waiting, lines: Sequence[str]) -> dict[str, Any]:
    record = ledger.look_up(entry.id)
    envelope: Envelope | None = None
    with suppress(DecodeError):  # it is listed all the same: what waits shall be seen
        envelope = Envelope.decode(entry.document)
    return {
        "id": entry.id,
        "due_at": entry.due,
        "parked_for": (line_of(entry.id, lines) or None) if entry.due is None else None,
        "status": record.status if record else Status.SCHEDULED,
        "attempts": record.attempts if record else 0,
        "domains": domains(envelope) if envelope else [],
        "reply": record.detail if record else "",
        "enqueued_at": envelope.enqueued_at if envelope else None,
    }


@command.command("cancel")
@click.argument("mails", nargs=-1, metavar="[ID]...")
@click.option("--all", "all_", is_flag=True, help="All that `scheduled list` shows.")
@click.option("--yes", is_flag=True, help="Do not ask before --all.")
@json_option
def cancel(mails: tuple[str, ...], *, all_: bool, yes: bool, as_json: bool) -> None:
    """Take mail back that no worker has claimed; it will not be sent.

    Also a mail that is still at the broker. Exits 1 if one of the ids could not be taken back.
    """
    if bool(mails) == all_:
        raise click.UsageError("name ids, or say --all")
    ids = waiting.ids() if all_ else list(dict.fromkeys(map(as_id, mails)))
    if all_ and ids:
        confirm(f"Take back {words.mails(len(ids))} for good?", yes=yes)
    cancelled, refused, blind = 0, {}, []
    known = routes.lines()
    for id_ in track(ids, "cancelling"):
        never_met = not all_ and ledger.look_up(id_) is None and schedule.find(id_) is None
        status = ledger.cancel(id_, known)
        if status is not Status.CANCELLED:
            refused[id_] = status
        elif never_met:
            blind.append(id_)
        else:
            cancelled += 1
    if as_json:
        show_json({"cancelled": cancelled, "if_queued": blind, "refused": refused})
    else:
        click.echo(f"{words.mails(cancelled)} cancelled")
        for id_ in blind:
            click.echo(f"{id_}: does not wait here; should it be queued, it is not sent either")
        for id_, status in refused.items():
            click.echo(f"mailqueue: {id_}: {_too_late(status)}", err=True)
    sys.exit(1 if refused and not all_ else 0)


def _too_late(status: Status) -> str:
    if status.final:
        return f"too late, it is {status}"
    return f"too late, a worker has it ({status}); see mailqueue status"
