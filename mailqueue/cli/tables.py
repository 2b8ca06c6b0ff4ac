"""What the commands for operators print: tables that fit 80 columns, or one JSON document."""

import json
import sys
from collections.abc import Iterable
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

#: A terminal says how wide it is; whatever is behind a pipe gets this.
_WIDTH: Final = 80
#: An id is for copying: it is never cut or folded.
_ID_WIDTH: Final = 32

#: Of a command that can answer both ways.
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document instead of tables."
)


def table(*columns: str) -> Table:
    """A table without lines. ``id`` keeps its width; a column in ``>name`` is for numbers."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        name = column.removeprefix(">")
        if name == "id":
            made.add_column(name, min_width=_ID_WIDTH, overflow="fold")
        else:
            made.add_column(name, justify="right" if column != name else "left", overflow="fold")
    return made


def facts(pairs: Iterable[tuple[str, str]]) -> Table:
    """Name and value in two columns; pairs without a value are left out."""
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(no_wrap=True, style="bold")
    made.add_column(overflow="fold")
    for name, value in pairs:
        if value:
            made.add_row(name, plain(value))
    return made


def plain(text: str) -> Text:
    """Text as it is: no markup, and nothing that a server could do to a terminal."""
    return Text(
        "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
    )


def show(*printed: Table | str) -> None:
    """Print tables and sentences."""
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
    for one in printed:
        console.print(plain(one) if isinstance(one, str) else one)


def show_json(document: Any) -> None:
    """Print one JSON document; ASCII, so that it passes every terminal and every pipe."""
    click.echo(json.dumps(document, indent=2))


def confirm(question: str, *, yes: bool) -> None:
    """Ask a person; where there is none to ask, ``--yes`` has to say it.

    Raises ``click.Abort`` where the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody can be asked here: say --yes")
    click.confirm(question, abort=True)


def as_id(text: str) -> str:
    """The id that was typed: itself, or a Message-ID that is made of it."""
    return text.strip().removeprefix("<").partition("@")[0]
