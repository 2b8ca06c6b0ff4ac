"""``mailqueue failed``: look at what was not sent, send it once more, or forget it."""

import sys
from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Any

import click

from mailqueue import failed
from mailqueue.cli import documents, showing, words
from mailqueue.cli.selecting import chosen, filter_options, selected, take_filters
from mailqueue.cli.tables import as_id, confirm, json_option, plain, show, show_json, table
from mailqueue.desk import recipients
from mailqueue.desk.retrying import Retried, retry
from mailqueue.envelope import Envelope
from mailqueue.progress import progress_bar, track

#: Entries that are discarded in one step.
_CHUNK = 500

_all_option = click.option("--all", "all_", is_flag=True, help="Every entry.")
_ids = click.argument("mails", nargs=-1, metavar="[ID]...")


@click.group("failed")
def command() -> None:
    """List, show, retry or discard mail that was not sent."""


@command.command("list")
@filter_options
@click.option("--limit", type=click.IntRange(0), default=50, show_default=True, help="0: all.")
@json_option
def list_(limit: int, *, as_json: bool, **options: Any) -> None:
    """Show entries that match all filters, the newest first; recipients by domain only."""
    total = failed.count()
    matching = selected(take_filters(options))
    # One more than shown tells whether there are more, without looking at all.
    found = [documents.of_failed(e) for e in islice(matching, limit + 1 if limit else None)]
    more = bool(limit) and len(found) > limit
    found = found[:limit] if limit else found
    if as_json:
        show_json({"total": total, "more": more, "entries": found})
        return
    made = table("id", "kept", "reason", "to")
    for entry in found:
        made.add_row(
            plain(f"{entry['id']}\n{entry['reply']}"),
            words.relative(entry["kept_at"]),
            entry["reason"],
            plain(", ".join(entry["domains"])),
        )
    if found:
        show(made)
    shown = f"{len(found):,} shown" + (", the newest; there are more (--limit)" if more else "")
    click.echo(f"{shown}; {words.mails(total)} in the failed store")


@command.command("show")
@click.argument("mail", metavar="ID")
@click.option("--eml", type=click.Path(dir_okay=False, allow_dash=True), help="Write the mail.")
@json_option
def show_(mail: str, eml: str | None, *, as_json: bool) -> None:
    """Show one entry: its recipients and every try, or with --eml the mail itself."""
    entry = failed.find(as_id(mail))
    if entry is None:
        raise click.ClickException(f"{as_id(mail)} is not in the failed store")
    if eml is not None:
        showing.write_eml(entry, eml)
    elif as_json:
        show_json(showing.document(entry))
    else:
        show(*showing.tables(entry))


@command.command("retry")
@_ids
@_all_option
@filter_options
@click.option("--to", "new", metavar="ADDRESS", help="Correct the address of one mail.")
@click.option("--instead-of", metavar="ADDRESS", help="Which of several addresses --to corrects.")
@json_option
def retry_(
    mails: tuple[str, ...], *, all_: bool, new: str | None, instead_of: str | None, as_json: bool,
    **options: Any,
) -> None:  # fmt: skip
    """Send entries once more, as if for the first time; each keeps its id.

    Exits 1 if one that was named by its id is not retried.
    """
    if new is None and instead_of is not None:
        raise click.UsageError("--instead-of needs --to, the right address")
    if new is not None and len(mails) != 1:
        raise click.UsageError("--to corrects the address of one mail; name its id")
    ids, missing = chosen(mails, take_filters(options), all_=all_)
    counts = Counter({Retried.GONE: len(missing)})
    change = _correction(new, instead_of or "") if new is not None else None
    for id_ in track(ids, "retrying"):
        entry = failed.find(id_)
        counts[Retried.GONE if entry is None else retry(entry, change=change)] += 1
    if as_json:
        show_json({word.value: counts[word] for word in Retried})
    else:
        click.echo(_told(counts))
    sys.exit(1 if mails and counts.total() > counts[Retried.RETRIED] else 0)


def _correction(new: str, instead_of: str) -> Callable[[Envelope], Envelope]:
    def change(envelope: Envelope) -> Envelope:
        try:
            changed = recipients.corrected(envelope, new, instead_of)
        except (ValueError, TypeError) as error:
            raise click.UsageError(f"{error}{'' if instead_of else ' (--instead-of)'}") from error
        if envelope.kind == "raw":
            click.echo(
                "a finished message: it goes to the corrected address, its headers stay", err=True
            )
        return changed

    return change


def _told(counts: Counter[Retried]) -> str:
    said = {
        Retried.GONE: "already gone",
        Retried.LIVE: "still on their way for other recipients: try again later",
        Retried.UNREADABLE: "unreadable, and kept",
    }
    more = [f"{counts[word]:,} {text}" for word, text in said.items() if counts[word]]
    return "; ".join([f"{words.mails(counts[Retried.RETRIED])} retried", *more])


@command.command("discard")
@_ids
@_all_option
@filter_options
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def discard(
    mails: tuple[str, ...], *, all_: bool, yes: bool, as_json: bool, **options: Any
) -> None:
    """Forget entries for good.

    Exits 1 if one that was named by its id is not there.
    """
    ids, missing = chosen(mails, take_filters(options), all_=all_)
    if ids:
        confirm(f"Discard {words.mails(len(ids))} for good?", yes=yes)
    discarded = 0
    with progress_bar() as bar:
        task = bar.add_task("discarding", total=len(ids))
        for at in range(0, len(ids), _CHUNK):
            discarded += failed.discard(ids[at : at + _CHUNK])
            bar.update(task, completed=at + _CHUNK)
    gone = len(ids) - discarded + len(missing)
    if as_json:
        show_json({"discarded": discarded, "gone": gone})
    else:
        click.echo(
            f"{words.mails(discarded)} discarded" + (f"; {gone:,} already gone" * bool(gone))
        )
    sys.exit(1 if missing else 0)
