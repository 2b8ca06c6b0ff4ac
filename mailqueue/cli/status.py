"""``mailqueue status``: where one mail stands."""

import sys
from typing import Any, Final

import click

from mailqueue import routes
from mailqueue.cli import documents, words
from mailqueue.cli.tables import as_id, facts, json_option, show, show_json
from mailqueue.conf import get_settings
from mailqueue.desk.recipients import left
from mailqueue.desk.route_state import state_of
from mailqueue.desk.standing import Standing, standing_of
from mailqueue.outcomes import Status
from mailqueue.privacy import without_addresses

_MEANS: Final = {
    Status.QUEUED: "at the broker, or about to be",
    Status.SCHEDULED: "not before its time",
    Status.DEFERRED: "again later",
    Status.CLAIMED: "a worker has it in its batch",
    Status.SENDING: "a worker is handing it over",
    Status.SENT: "the server took responsibility for it",
    Status.BOUNCED: "refused for good",
    Status.EXPIRED: "its time was over before anybody took it",
    Status.UNKNOWN: "handed over, and the reply was never seen",
    Status.CANCELLED: "taken back",
}


@click.command("status")
@click.argument("mail", metavar="ID")
@json_option
def command(mail: str, *, as_json: bool) -> None:
    """Tell where a mail stands: its status, attempts, last reply, and what it waits for.

    ID is what `mailqueue send` printed, or the mail's Message-ID. Exits 1 where nothing is known
    of it.
    """
    id_ = as_id(mail)
    standing = standing_of(id_)
    if standing is None:
        if as_json:
            show_json({"id": id_, "status": None})
        kept = words.age(get_settings().MAILQUEUE_LEDGER_TTL)
        click.echo(
            f"mailqueue: {id_}: no worker has met it: it is still queued, or it was never here, "
            f"or it is forgotten, {kept} after its end (MAILQUEUE_LEDGER_TTL)",
            err=True,
        )
        sys.exit(1)
    if as_json:
        show_json(_document(standing))
    else:
        show(facts(_lines(standing)))


def _document(s: Standing) -> dict[str, Any]:
    return {
        "id": s.id,
        "status": s.status,
        "attempts": s.attempts,
        "reply": s.detail,
        "changed_at": s.changed_at,
        "enqueued_at": s.envelope.enqueued_at if s.envelope else None,
        "due_at": s.due,
        "expires_at": s.envelope.expires_at if s.envelope else None,
        "route": s.envelope.route if s.envelope else None,
        "parked_for": s.parked or None,
        "paused": documents.of_pause(s.paused),
        "kept": documents.of_failed(s.kept) if s.kept else None,
        "served": s.served,
        "failed": s.failed,
        "recipients": left(s.envelope) if s.envelope else None,
    }


def _lines(s: Standing) -> list[tuple[str, str]]:
    served = [
        f"{s.served:,} served" if s.served else "",
        f"{s.failed:,} failed" if s.failed else "",
    ]
    return [
        ("id", s.id),
        ("status", f"{s.status}: {_MEANS[s.status]}"),
        ("attempts", str(s.attempts)),
        ("last reply", s.detail),
        ("changed", words.moment(s.changed_at) if s.changed_at else ""),
        ("enqueued", words.moment(s.envelope.enqueued_at) if s.envelope else ""),
        ("due", words.moment(s.due) if s.due is not None else ""),
        ("expires", _expires(s)),
        ("route", s.envelope.route if s.envelope else ""),
        ("waits for", _waits_for(s)),
        ("failed store", _kept(s)),
        ("recipients", ", ".join(filter(None, served))),
        ("not served", ", ".join(left(s.envelope)) if s.envelope else ""),
    ]


def _expires(s: Standing) -> str:
    at = s.envelope.expires_at if s.envelope else None
    return "" if at is None else words.moment(at)


def _waits_for(s: Standing) -> str:
    if not s.parked:
        return ""
    name, _, group = s.parked.partition("@")
    if s.paused is not None:
        return f"route {words.pause(s.paused, routes.parked(name))}"
    route = state_of(name)
    line = next((line for line in route.lines if line.name == s.parked), route.lines[0])
    of_group = f", domains {group}" if group else ""
    return (
        f"route {name}{of_group}: {words.waits_for(route, line)}; "
        f"{words.mails_wait(line.parked)} there"
    )


def _kept(s: Standing) -> str:
    if s.kept is None:
        return ""
    others = "" if s.status.final else "; other recipients are still tried"
    reply = without_addresses(s.kept.detail)
    return (
        f"{s.kept.reason}, {words.relative(s.kept.kept_at)}: {reply}{others}; "
        f"mailqueue failed show {s.id}"
    )
