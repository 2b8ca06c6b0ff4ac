"""Which entries of the failed store a command is about: by id, by filter, or all."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple, get_args

import click

from mailqueue import failed
from mailqueue.addresses import to_ascii_domain
from mailqueue.cli.tables import as_id
from mailqueue.cli.words import Age
from mailqueue.desk.recipients import domains
from mailqueue.failed import Failed, Reason
from mailqueue.progress import progress_bar


class Filters(NamedTuple):
    """What an entry must fulfil; all that are given hold together."""

    reason: str | None = None
    reply: str | None = None
    domain: str | None = None
    #: Seconds since it was kept.
    older: float | None = None
    newer: float | None = None

    def match(self, entry: Failed, now: float) -> bool:
        """Whether the entry is meant."""
        return (
            (self.reason is None or entry.reason == self.reason)
            and (self.older is None or now - entry.kept_at > self.older)
            and (self.newer is None or now - entry.kept_at < self.newer)
            and (self.reply is None or self.reply.lower() in entry.detail.lower())
            and (self.domain is None or self._goes_to_domain(entry))
        )

    def _goes_to_domain(self, entry: Failed) -> bool:
        envelope = entry.envelope()  # the costly part, asked last
        return envelope is not None and self.domain in domains(envelope)


NONE: Final = Filters()


def _domain(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    try:
        return None if value is None else to_ascii_domain(value.removeprefix("@")).lower()
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


_OPTIONS: Final = (
    click.option("--reason", type=click.Choice(get_args(Reason)), help="Why it was not sent."),
    click.option("--reply", metavar="TEXT", help="Its last reply has this text: 5.1.1."),
    click.option("--domain", callback=_domain, help="A recipient is at this domain."),
    click.option("--older", type=Age(), help="Kept longer ago than this: 90s, 15m, 2h, 3d."),
    click.option("--newer", type=Age(), help="Kept less long ago than this."),
)


def filter_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the filters' options."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def take_filters(options: dict[str, Any]) -> Filters:
    """Take the filters out of a command's options."""
    return Filters(*(options.pop(name) for name in Filters._fields))


def selected(filters: Filters) -> Iterator[Failed]:
    """Entries that match, the newest first."""
    now = time.time()
    with progress_bar() as bar:
        task = bar.add_task("reading", total=failed.count())
        for entry in failed.entries(newest_first=True):
            bar.advance(task)
            if filters.match(entry, now):
                yield entry


def chosen(mails: Sequence[str], filters: Filters, *, all_: bool) -> tuple[list[str], list[str]]:
    """The ids that a command is about, and those of them that are not there (any more).

    Ids and filters together mean those of the ids that match.

    Raises ``click.UsageError`` where nothing was chosen, or everything and something.
    """
    if all_ and (mails or filters != NONE):
        raise click.UsageError("--all stands alone; leave out the ids and filters, or --all")
    if not (all_ or mails or filters != NONE):
        raise click.UsageError("name ids, give a filter, or say --all")
    if not mails:
        return [entry.id for entry in selected(filters)], []
    now = time.time()
    found, missing = [], []
    for id_ in dict.fromkeys(map(as_id, mails)):
        entry = failed.find(id_)
        if entry is None:
            missing.append(id_)
        elif filters.match(entry, now):
            found.append(id_)
    return found, missing
