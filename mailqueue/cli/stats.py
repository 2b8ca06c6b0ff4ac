"""``mailqueue stats``: how much waits where, how old it is, and what came of the rest."""

import sys
from collections import Counter
from typing import Any

import click
from rich.table import Table

from mailqueue.cli import documents, words
from mailqueue.cli.tables import facts, json_option, plain, show, show_json, table
from mailqueue.desk.overview import Overview, overview
from mailqueue.desk.queue_length import QueueLength
from mailqueue.outcomes import Status

#: What is counted of each route, in the order of its columns.
_COUNTED = (Status.SENT, Status.BOUNCED, Status.EXPIRED, Status.UNKNOWN, Status.DEFERRED)


@click.command("stats")
@json_option
def command(*, as_json: bool) -> None:
    """Count what is queued, in flight, waiting, parked, failed and done, and tell the oldest.

    Exits 1 where the broker does not answer; the other numbers are shown all the same.
    """
    found = overview()
    if as_json:
        show_json(_document(found))
    else:
        show(facts(_lines(found)), "", _by_route(found))
        for route in found.routes:
            if route.paused:
                show("", *words.pause_and_remedy(route.paused, route.parked))
    if found.queued.trouble:
        click.echo(f"mailqueue: {found.queued.trouble} (MAILQUEUE_BROKER_URL)", err=True)
        sys.exit(1)


def _document(found: Overview) -> dict[str, Any]:
    return {
        "queued": {
            **found.queued._asdict(),
            "by_priority": {p: one._asdict() for p, one in found.queued.by_priority.items()},
        },
        "in_flight": found.in_flight,
        "waiting": found.waiting._asdict(),
        "parked": sum(route.parked for route in found.routes),
        "failed": {
            "total": found.failed.total,
            "by_reason": found.failed.by_reason,
            "oldest_at": found.failed.oldest_at,
            "pruned": found.failed.pruned,
        },
        "routes": [
            {
                "route": route.route,
                "paused": documents.of_pause(route.paused),
                "parked": route.parked,
                "totals": route.totals,
            }
            for route in found.routes
        ],
    }


def _lines(found: Overview) -> list[tuple[str, str]]:
    parked = sum(route.parked for route in found.routes)
    return [
        ("queued", _queued(found)),
        ("in flight", words.mails(found.in_flight)),
        ("waiting", _waiting(found)),
        ("parked", words.mails(parked) + (", until their route opens" if parked else "")),
        ("failed", _failed(found)),
    ]


def _queued(found: Overview) -> str:
    queued = found.queued
    if queued.batches is None:
        return "not known: the broker does not answer"
    text = f"{queued.batches:,} batch{'' if queued.batches == 1 else 'es'}"
    if queued.messages is not None:
        text = f"{words.mails(queued.messages)} in {text}"
    parts = _by_priority(queued)
    if parts:
        text += f" ({parts})"
    if queued.taken:
        text += f"; {queued.taken:,} more taken by workers"
    if queued.oldest_at is not None:
        which = "oldest" if "," in parts else "next"
        text += f"; the {which} was enqueued {words.relative(queued.oldest_at)}"
    return text


def _by_priority(queued: QueueLength) -> str:
    """How much of each there is, in mails or, where they are not known, in batches."""
    there = {p: one for p, one in queued.by_priority.items() if one.batches}
    if not there.keys() - {"normal"}:
        return ""
    counted = queued.messages is not None
    return ", ".join(
        f"{one.messages if counted else one.batches:,} {p}" for p, one in there.items()
    )


def _waiting(found: Overview) -> str:
    kinds = found.waiting
    text = words.mails(kinds.total)
    named = (
        ("scheduled", kinds.scheduled), ("deferred", kinds.deferred), ("about to go", kinds.other),
    )  # fmt: skip
    parts = [f"{number:,} {name}" for name, number in named if number]
    if parts:
        text += f" ({', '.join(parts)})"
    if kinds.next_due_at is not None:
        text += f"; the next is due {words.relative(kinds.next_due_at)}"
    return text


def _failed(found: Overview) -> str:
    failed = found.failed
    text = words.mails(failed.total)
    if failed.by_reason:
        text += f" ({', '.join(f'{n:,} {reason}' for reason, n in failed.by_reason.items())})"
    if failed.oldest_at is not None:
        text += f"; the oldest was kept {words.relative(failed.oldest_at)}: mailqueue failed list"
    if failed.pruned:
        text += f"; {failed.pruned:,} discarded by age or number so far"
    return text


def _by_route(found: Overview) -> Table:
    made = table("route", "state", ">parked", *(f">{status}" for status in _COUNTED))
    for route in found.routes:
        totals = Counter(route.totals)
        made.add_row(
            plain(route.route),
            "paused" if route.paused else "open",
            f"{route.parked:,}",
            *(f"{totals[status]:,}" for status in _COUNTED),
        )
    return made
