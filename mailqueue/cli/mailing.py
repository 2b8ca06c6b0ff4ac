"""A mailing: one mail for each row of a CSV file, its subject and body Jinja2 templates.

Every row is rendered and checked before the first mail is enqueued: a missing column in row 900
must not leave 899 people written to.
"""

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import click

from mailqueue.conf import get_settings
from mailqueue.enqueuing import enqueue
from mailqueue.envelope import Priority
from mailqueue.errors import ConfigurationError, EnqueueError
from mailqueue.intake import check_message
from mailqueue.message import EmailMultiAlternatives
from mailqueue.progress import progress_bar, track
from mailqueue.routing.choosing import check_asked

_CHUNK = 500
_ERRORS_SHOWN = 10


def send_mailing(
    table: Path,
    templates: Sequence[Path],
    *,
    subject: str,
    sender: str | None,
    skip: int,
    delimiter: str,
    route: str | None = None,
    priority: Priority = "bulk",
) -> None:
    """Enqueue one mail for each row after the first ``skip`` rows; prints how many.

    Raises ``click.UsageError`` for a table or template that cannot be used, and ``click.
    ClickException`` that says where to go on when the broker fell silent on the way.
    """
    if route is not None:
        _check_route(route)
    letter = _Letter(templates, subject, sender)
    rows = list(islice(_rows(table, delimiter), skip, None))
    messages, faults = [], []
    for number, row in track(rows, "checking"):
        try:
            message = letter.to(row)
            check_message(message)
        except Exception as error:  # noqa: BLE001 - a template may raise anything
            faults.append(f"row {number}: {error}")
        else:
            messages.append(message)
    if faults:
        shown = "\n  ".join(faults[:_ERRORS_SHOWN])
        raise click.UsageError(f"{len(faults)} of {len(rows)} rows cannot be sent:\n  {shown}")
    sent = 0
    with progress_bar() as bar:
        task = bar.add_task("enqueueing", total=len(messages))
        for at in range(0, len(messages), _CHUNK):
            part = messages[at : at + _CHUNK]
            try:
                sent += len(enqueue(part, route=route, priority=priority))
            except EnqueueError as error:
                sent += len(error.enqueued)
                raise click.ClickException(
                    f"{error}\n{sent} of {len(messages)} mails are in the queue; "
                    f"go on with --skip {skip + sent}"
                ) from error
            bar.update(task, completed=sent)
    click.echo(f"{sent} mails enqueued")


def _check_route(name: str) -> None:
    try:
        check_asked(name, get_settings())
    except ConfigurationError:
        raise  # not what was typed
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _rows(table: Path, delimiter: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows by column name, with their number (1 for the first after the header)."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter=delimiter, strict=True)
            if "email" not in (reader.fieldnames or ()):
                raise click.UsageError(
                    f"{table} has no column `email` (found: {', '.join(reader.fieldnames or ())})"
                )
            for number, row in enumerate(reader, 1):
                if None in row or None in row.values():
                    raise click.UsageError(f"{table}, row {number}: not as many cells as columns")
                yield number, row
    except (csv.Error, UnicodeDecodeError, TypeError) as error:
        raise click.UsageError(f"{table} cannot be read as CSV in UTF-8: {error}") from error


class _Letter:
    """Subject and bodies, ready to be filled in."""

    def __init__(self, paths: Sequence[Path], subject: str, sender: str | None) -> None:
        try:
            import jinja2  # noqa: PLC0415 - an extra
            from jinja2.sandbox import SandboxedEnvironment  # noqa: PLC0415
        except ImportError as error:
            raise ConfigurationError(
                "--template needs Jinja2: pip install 'mailqueue[csv]'"
            ) from error
        self._sender = sender
        text = SandboxedEnvironment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
        html = text.overlay(autoescape=True)
        self._text: Any = None
        self._html: Any = None
        try:
            self._subject = text.from_string(subject)
            for path in paths:
                is_html = ".htm" in path.name.lower()
                if (self._html if is_html else self._text) is not None:
                    raise click.UsageError(f"{path}: there already is a template of this kind")
                if is_html:
                    self._html = html.from_string(path.read_text("utf-8"))
                else:
                    self._text = text.from_string(path.read_text("utf-8"))
        except (jinja2.TemplateError, UnicodeDecodeError) as error:
            raise click.UsageError(f"a template cannot be used: {error}") from error

    def to(self, row: dict[str, str]) -> EmailMultiAlternatives:
        """The letter to one person."""
        if not row["email"].strip():
            raise ValueError("the column `email` is empty")
        message = EmailMultiAlternatives(
            self._subject.render(row), from_email=self._sender, to=[row["email"].strip()]
        )
        if self._text is not None:
            message.body = self._text.render(row)
        if self._html is not None and self._text is None:
            message.body = self._html.render(row)
            message.content_subtype = "html"
        elif self._html is not None:
            message.attach_alternative(self._html.render(row), "text/html")
        return message
