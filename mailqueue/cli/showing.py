"""One entry of the failed store in full: details for a person, or the mail as an ``.eml`` file."""

import sys
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from mailqueue.cli import documents, words
from mailqueue.cli.tables import facts, plain, table
from mailqueue.desk.recipients import left
from mailqueue.envelope import Envelope
from mailqueue.errors import DecodeError
from mailqueue.failed import Failed
from mailqueue.unpacking import unpack_message
from mailqueue.wire import serialise


def document(entry: Failed) -> dict[str, Any]:
    """The entry as JSON: with addresses, since one mail was asked for, and without content."""
    envelope = entry.envelope()
    return documents.of_failed(entry) | {
        "reply": entry.detail,
        "route": envelope.route if envelope else None,
        "message_id": envelope.message_id if envelope else None,
        "to": left(envelope) if envelope else [],
        "attachments": len(envelope.attachments) if envelope else 0,
        "tries": [{"at": at, "reply": reply} for at, reply in _tries(envelope)],
    }


def tables(entry: Failed) -> list[Table | str]:
    """The entry as tables."""
    envelope = entry.envelope()
    shown: list[Table | str] = [facts(_lines(entry, envelope))]
    if envelope and envelope.tries:
        tries = table("tried", "reply")
        for at, reply in _tries(envelope):
            tries.add_row(words.moment(at), plain(reply))
        shown += ["", tries]
    return shown


def write_eml(entry: Failed, path: str) -> None:
    """Write the mail to a file, or to standard output for ``-``.

    It is what the server gets, so blind copies are not in it.

    Raises ``click.ClickException`` where it cannot be read, built or written.
    """
    envelope = entry.envelope()
    if envelope is None:
        raise click.ClickException(f"{entry.id} cannot be read as a mail: {entry.detail}")
    try:
        message: Any = unpack_message(envelope)
        data = serialise(message.message())
    except (ValueError, TypeError, DecodeError) as error:
        raise click.ClickException(f"{entry.id} cannot be built: {error}") from error
    if path == "-":
        sys.stdout.buffer.write(data)
        return
    try:
        Path(path).write_bytes(data)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from error


def _lines(entry: Failed, envelope: Envelope | None) -> list[tuple[str, str]]:
    lines = [
        ("id", entry.id),
        ("reason", entry.reason),
        ("reply", entry.detail),
        ("kept", words.moment(entry.kept_at)),
        ("attempts", str(entry.attempts)),
        ("size", f"{len(entry.data) / 1000:,.1f} kB"),
    ]
    if envelope is None:
        return lines
    return [
        *lines,
        ("enqueued", words.moment(envelope.enqueued_at)),
        ("route", envelope.route),
        ("message-id", envelope.message_id),
        ("attachments", str(len(envelope.attachments))),
        ("recipients", "\n".join(left(envelope))),
    ]


def _tries(envelope: Envelope | None) -> list[tuple[float, str]]:
    return [(one.at, one.detail) for one in envelope.tries] if envelope else []
