"""``mailqueue send``: one mail from options, one from an ``.eml`` file, or a mailing from CSV."""

import datetime as dt
import email
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, get_args

import click
from click.core import ParameterSource

from mailqueue.conversion import addresses
from mailqueue.durations import parse_duration, parse_moment
from mailqueue.enqueuing import enqueue
from mailqueue.envelope import Priority
from mailqueue.errors import ConfigurationError, EnqueueError
from mailqueue.message import EmailMessage, EmailMultiAlternatives
from mailqueue.raw import RawMessage
from mailqueue.wire import serialise

_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
#: A header with its folded lines; an mbox's first line, which is none, besides.
_HIDDEN: Final = re.compile(
    rb"^(?:>?From [^\n]*|(?:Resent-)?Bcc[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*)\n",
    re.IGNORECASE | re.MULTILINE,
)
#: Options that say how to deliver, not what.
_DELIVERY: Final = {"delay", "eta", "expires", "idempotency_key", "route", "priority"}
#: Of these, what a mailing takes.
_ANY_KIND: Final = {"route", "priority"}


def _read(
    parse: Callable[[str], object],
) -> Callable[[click.Context, click.Parameter, str | None], object]:
    """What ``parse`` makes of an option's text; its ``ValueError`` is wrong usage."""

    def callback(context: click.Context, parameter: click.Parameter, text: str | None) -> object:
        try:
            return None if text is None else parse(text)
        except ValueError as error:
            raise click.BadParameter(str(error), context, parameter) from error

    return callback


@click.command("send")
@click.option("--to", multiple=True, metavar="ADDRESS", help="Recipient; may be repeated.")
@click.option("--cc", multiple=True, metavar="ADDRESS", help="Carbon copy; may be repeated.")
@click.option("--bcc", multiple=True, metavar="ADDRESS", help="Blind copy; may be repeated.")
@click.option("--from", "sender", metavar="ADDRESS", help="Sender [DEFAULT_FROM_EMAIL].")
@click.option("--reply-to", multiple=True, metavar="ADDRESS", help="Where answers go.")
@click.option("--subject", default="", help="Subject; with --csv a Jinja2 template.")
@click.option("--body", help="Text; - reads it from standard input.")
@click.option("--html", type=_FILE, help="File with the HTML alternative.")
@click.option("--attach", type=_FILE, multiple=True, help="File to attach; may be repeated.")
@click.option("--eml", type=_FILE, help="Send this finished message as it is.")
@click.option(
    "--delay",
    metavar="TIME",
    callback=_read(parse_duration),
    help="Send it after this time: 90s, 15m, 2h, 3d.",
)
@click.option(
    "--at",
    "eta",
    metavar="MOMENT",
    callback=_read(parse_moment),
    help="Send it at this moment, ISO 8601: 2026-12-24T18:00+01:00.",
)
@click.option(
    "--expires",
    metavar="TIME",
    callback=_read(parse_duration),
    help="Do not send it any more after this time, counted from now: 2h.",
)
@click.option(
    "--idempotency-key", metavar="TEXT", help="The same key again means the same mail, sent once."
)
@click.option("--route", metavar="NAME", help="Way out that it takes [as the settings say].")
@click.option(
    "--priority",
    type=click.Choice(get_args(Priority)),
    help="What overtakes what [normal; with --csv: bulk].",
)
@click.option("--csv", "table", type=_FILE, help="Mailing: one mail per row, to column `email`.")
@click.option("--template", type=_FILE, multiple=True, help="Mailing: Jinja2 body, .txt or .html.")
@click.option(
    "--skip", type=click.IntRange(0), default=0, help="Mailing: rows to leave out at the beginning."
)
@click.option("--delimiter", default=",", help="Mailing: what separates columns.")
def command(
    to: tuple[str, ...],
    cc: tuple[str, ...],
    bcc: tuple[str, ...],
    sender: str | None,
    reply_to: tuple[str, ...],
    subject: str,
    body: str | None,
    html: Path | None,
    attach: tuple[Path, ...],
    eml: Path | None,
    delay: float | None,
    eta: dt.datetime | None,
    expires: float | None,
    idempotency_key: str | None,
    route: str | None,
    priority: Priority | None,
    table: Path | None,
    template: tuple[Path, ...],
    skip: int,
    delimiter: str,
) -> None:
    r"""Put mail into the queue; prints the id of each message.

    \b
    mailqueue send --to ann@example.com --subject Hello --body "Good morning"
    mailqueue send --to ann@example.com --eml letter.eml
    mailqueue send --to ann@example.com --subject Later --delay 2h --expires 1d
    mailqueue send --to ann@example.com --subject Code --body 4711 --priority high
    mailqueue send --csv people.csv --template letter.txt --subject "Dear {{ name }}"
    """
    _usage()
    if table is not None:
        from mailqueue.cli.mailing import send_mailing  # noqa: PLC0415 - needs an extra

        send_mailing(
            table, template, subject=subject, sender=sender, skip=skip, delimiter=delimiter,
            route=route, priority=priority or "bulk",
        )  # fmt: skip
        return
    if eml is not None:
        message: EmailMessage = _finished(eml, [*to, *cc, *bcc], sender)
    else:
        message = EmailMultiAlternatives(
            subject, _text(body), sender, list(to), list(bcc), cc=list(cc), reply_to=list(reply_to)
        )
        if html is not None:
            message.attach_alternative(_read_text(html), "text/html")
        for path in attach:
            message.attach_file(path)
    try:
        handles = enqueue(
            message,
            eta=eta,
            delay=delay,
            expires=expires,
            idempotency_key=idempotency_key,
            route=route,
            priority=priority or "normal",
        )
    except (ConfigurationError, EnqueueError):
        raise  # failed, but not by what was typed
    except (ValueError, TypeError) as error:
        raise click.UsageError(str(error)) from error
    for handle in handles:
        click.echo(handle.id)


def _usage() -> None:
    """Refuse combinations that have no meaning, before anything is read."""
    context = click.get_current_context()
    given = {
        name
        for name in context.params
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    if {"delay", "eta"} <= given:
        raise click.UsageError("--delay and --at both say when it is sent; leave out one of them")
    if "table" in given:
        allowed = {"table", "template", "subject", "sender", "skip", "delimiter", *_ANY_KIND}
        _only(given & _DELIVERY, _ANY_KIND, "a mailing with --csv goes out at once")
        _only(given, allowed, "--csv takes recipients and bodies from its files")
        if "template" not in given:
            raise click.UsageError("--csv needs --template, the body of each mail")
    elif "template" in given:
        raise click.UsageError("--template needs --csv, the people to send to")
    elif "eml" in given:
        allowed = {"eml", "to", "cc", "bcc", "sender", *_DELIVERY}
        _only(given, allowed, "--eml sends a finished message")
    elif not given & {"to", "cc", "bcc"}:
        raise click.UsageError("--to is missing: who shall get the mail?")


def _only(given: set[str], allowed: set[str], why: str) -> None:
    parameters = click.get_current_context().command.params
    extra = [option.opts[0] for option in parameters if option.name in given - allowed]
    if extra:
        raise click.UsageError(f"{why}; leave out {', '.join(extra)}")


def _text(body: str | None) -> str:
    return sys.stdin.read() if body == "-" else body or ""


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{path} is not UTF-8 text: {error.reason}") from error


def _finished(path: Path, recipients: list[str], sender: str | None) -> RawMessage:
    """A message from a file; its own To, Cc and Bcc are the recipients unless others are given."""
    data = _LINE_END.sub(b"\n", path.read_bytes())
    parsed = email.message_from_bytes(data)
    if not parsed.keys():
        raise click.UsageError(f"{path} has no header lines; is it a message (RFC 5322)?")
    recipients = recipients or addresses(parsed, "To", "Cc", "Bcc")
    if not recipients:
        raise click.UsageError(f"{path} names no recipient; give one with --to")
    from_ = [sender] if sender else addresses(parsed, "From")
    if not from_:
        raise click.UsageError(f"{path} has no From; give one with --from")
    head, blank, body = data.partition(b"\n\n")
    # The bytes themselves, not a message built anew: that would break its signature.
    message = RawMessage(_HIDDEN.sub(b"", head + b"\n") + blank[1:] + body)
    message.from_email = from_[0]
    message.to = recipients
    message.subject = " ".join(str(parsed["Subject"] or "").split())
    try:
        serialise(message.message())
    except ValueError as error:
        raise click.UsageError(f"{path} cannot be sent as it is: {error}") from error
    return message
