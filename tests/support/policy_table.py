"""The tables in docs/policy.md, made from the policy and checked rows.

``PYTHONPATH=tests:. python tests/support/policy_table.py`` writes them into the page.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from mailqueue.outcomes import Fault, Stage, Status
from support.reply_corpus import REPLIES
from worker.policy import PAUSES, Kind, Reach

PAGE: Final = Path(__file__).parents[2] / "docs" / "policy.md"


class Seen(NamedTuple):
    """One row: what is seen, examples of it, and what it leads to at a first attempt."""

    what: str
    faults: tuple[Fault, ...]
    reach: Reach
    kind: Kind
    status: Status = Status.DEFERRED
    counts: bool = False
    connection: str = "keep"
    unknown: bool = False


def _replies(stages: str, code: int, text: str = "") -> tuple[Fault, ...]:
    return tuple(Fault.of_reply(Stage(stage), code, text) for stage in stages.split())


def _error(stage: Stage, text: str, *, lost: bool = False) -> Fault:
    return Fault(stage, 0, text, lost)


RECIPIENT, MESSAGE, CONNECTION, ACCOUNT = Reach
BOUNCED = Status.BOUNCED
TALK: Final = "sender recipient data content"

SEEN: Final = (
    Seen("4xx at RCPT", _replies("recipient", 450, "x"), RECIPIENT, Kind.TEMPORARY, counts=True),
    Seen(
        "5xx at RCPT",
        _replies("recipient", 550, "x"),
        RECIPIENT,
        Kind.PERMANENT,
        BOUNCED,
        counts=True,
    ),
    Seen(
        "4xx at MAIL, DATA or after the final dot",
        _replies("sender data content", 451, "x"),
        MESSAGE,
        Kind.TEMPORARY,
        counts=True,
    ),
    Seen(
        "5xx at MAIL, DATA or after the final dot",
        _replies("sender data content", 554, "x"),
        MESSAGE,
        Kind.PERMANENT,
        BOUNCED,
        counts=True,
    ),
    Seen(
        "552, 523: too large; 554: refused for its content",
        (*_replies("sender content", 552, "5.3.4 too large"), *_replies("content", 523)),
        MESSAGE,
        Kind.PERMANENT,
        BOUNCED,
        counts=True,
    ),
    Seen(
        "the message cannot be built; an address needs SMTPUTF8, which the server lacks",
        (
            _error(Stage.BUILD, "ValueError: x"),
            _error(Stage.BUILD, "AddressNotSupportedError: x"),
        ),
        MESSAGE,
        Kind.PERMANENT,
        BOUNCED,
        counts=True,
    ),
    Seen(
        "memory, a file or a module is missing while it is built",
        (_error(Stage.BUILD, "MemoryError: x"), _error(Stage.BUILD, "OSError: x")),
        MESSAGE,
        Kind.TEMPORARY,
        counts=True,
    ),
    Seen(
        "500, 503, or what is no reply: out of step",
        (*_replies(TALK.replace("recipient ", ""), 503, "x"), Fault(Stage.DATA, 299, "x")),
        MESSAGE,
        Kind.TEMPORARY,
        counts=True,
        connection="reopen",
    ),
    Seen(
        "time-out or disconnect after the final dot, before the reply",
        (_error(Stage.CONTENT, "TimeoutError: x", lost=True),),
        MESSAGE,
        Kind.UNKNOWN,
        counts=True,
        connection="reopen",
        unknown=True,
    ),
    Seen(
        "no connection, DNS, TLS; time-out or disconnect before the final dot",
        (
            _error(Stage.CONNECT, "ConnectionRefusedError: x", lost=True),
            _error(Stage.CONNECT, "gaierror: x"),
            _error(Stage.RECIPIENT, "TimeoutError: x", lost=True),
            _error(Stage.LOGIN, "SMTPServerDisconnected: x", lost=True),
            *_replies("connect", 554, "5.7.1 go away"),
            *_replies("login", 454, "4.7.0 Temporary authentication failure"),
        ),
        CONNECTION,
        Kind.AWAY,
        connection="reopen",
    ),
    Seen(
        "421 anywhere",
        _replies(f"connect login {TALK}", 421, "closing"),
        CONNECTION,
        Kind.AWAY,
        connection="reopen",
    ),
    Seen(
        "4.3.2; SES `421 Maximum message count per session reached`",
        (
            *_replies(TALK, 450, "4.3.2 x"),
            *_replies("sender", 421, "Maximum message count per session reached"),
        ),
        CONNECTION,
        Kind.SESSION,
        connection="reopen",
    ),
    Seen(
        "535, 534, 530, 538; AUTH refused",
        (
            *_replies(f"login {TALK}", 535, "x"),
            *_replies(f"login {TALK}", 534, "x"),
            *_replies(f"login {TALK}", 530, "x"),
            *_replies("login", 550, "x"),
            _error(Stage.LOGIN, "SMTPNotSupportedError: AUTH"),
        ),
        ACCOUNT,
        Kind.LOGIN,
        connection="stop",
    ),
    Seen(
        "a setting is wrong (`ConfigurationError`)",
        (
            _error(Stage.BUILD, "ConfigurationError: x"),
            _error(Stage.CONNECT, "ConfigurationError: x"),
        ),
        ACCOUNT,
        Kind.LOGIN,
        connection="stop",
    ),
    Seen(
        "SES `454 Throttling failure: Maximum sending rate exceeded`",
        _replies(TALK, 454, "Throttling failure: Maximum sending rate exceeded."),
        ACCOUNT,
        Kind.RATE,
        connection="stop",
    ),
    Seen(
        "SES `454 Throttling failure: Daily message quota exceeded`",
        _replies(TALK, 454, "Throttling failure: Daily message quota exceeded."),
        ACCOUNT,
        Kind.QUOTA,
        connection="stop",
    ),
    Seen(
        "Gmail `550 5.4.5 Daily user sending limit exceeded`, at RCPT too",
        _replies(TALK, 550, "5.4.5 Daily user sending limit exceeded."),
        ACCOUNT,
        Kind.QUOTA,
        connection="stop",
    ),
    Seen(
        "Microsoft 365 `554 5.2.0 … SubmissionQuotaExceeded`",
        _replies("content", 554, "5.2.0 STOREDRV; SubmissionQuotaExceededException"),
        ACCOUNT,
        Kind.QUOTA,
        connection="stop",
    ),
    Seen(
        "SendGrid `451 Maximum credits exceeded`",
        _replies(f"login {TALK}", 451, "Authentication failed: Maximum credits exceeded"),
        ACCOUNT,
        Kind.QUOTA,
        connection="stop",
    ),
    Seen(
        "Microsoft 365 `432 4.3.2 Concurrent connections limit exceeded`",
        _replies(f"connect login {TALK}", 432, "4.3.2 Concurrent connections limit exceeded."),
        ACCOUNT,
        Kind.CONCURRENCY,
        connection="stop",
    ),
    Seen(
        "550 5.7.60, 553 not verified, 553 not owned by user: this sender may not send",
        (
            *_replies("sender content", 550, "5.7.60 SMTP; Client does not have permissions"),
            *_replies("sender", 553, "From: address not verified"),
            *_replies("recipient", 553, "5.7.1 Sender address rejected: not owned by user app"),
        ),
        ACCOUNT,
        Kind.SENDER,
    ),
    Seen(
        "an API's 429 (or 420)",
        _replies("backend", 429),
        ACCOUNT,
        Kind.RATE,
        connection="stop",
    ),
    Seen("an API's 402", _replies("backend", 402), ACCOUNT, Kind.QUOTA, connection="stop"),
    Seen(
        "an API's 401, 403",
        (*_replies("backend", 401), *_replies("backend", 403)),
        ACCOUNT,
        Kind.LOGIN,
        connection="stop",
    ),
    Seen(
        "an API's 408, 5xx",
        tuple(f for code in (408, 500, 502, 503, 535) for f in _replies("backend", code)),
        CONNECTION,
        Kind.AWAY,
        connection="reopen",
    ),
    Seen(
        "an API's other 4xx, such as 400, 404, 413, 422",
        tuple(f for code in (400, 404, 413, 422, 451) for f in _replies("backend", code)),
        MESSAGE,
        Kind.PERMANENT,
        BOUNCED,
        counts=True,
    ),
    Seen(
        "anything else that a backend raises; a backend that sent nothing and gave no reason",
        (_error(Stage.BACKEND, "RuntimeError: x"), Fault(Stage.BACKEND, 302, "x")),
        MESSAGE,
        Kind.TEMPORARY,
        counts=True,
    ),
)

_CONNECTION_WORDS: Final = {
    "keep": "goes on",
    "reopen": "goes on, on a new connection",
    "stop": "waits",
}


def meanings() -> str:
    rows = [
        "| seen | reach | kind | the mail | an attempt? | the rest of the batch |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for seen in SEEN:
        status = "deferred or held" if seen.unknown else seen.status.value
        counts = "counted" if seen.counts else "no"
        rest = _CONNECTION_WORDS[seen.connection]
        rows.append(f"| {seen.what} | {seen.reach} | {seen.kind} | {status} | {counts} | {rest} |")
    return "\n".join(rows)


def pauses() -> str:
    rows = [
        "| kind | first pause | doubled up to | ends |",
        "| --- | --- | --- | --- |",
    ]
    for pause in PAUSES.values():
        ends = "with one mail that is tried" if pause.probe else "by time"
        rows.append(f"| {pause.kind} | {pause.first:g} s | {pause.longest:g} s | {ends} |")
    return "\n".join(rows)


def sentences() -> str:
    """Replies of providers that speak of themselves, and not of the mail."""
    rows = ["| from | reply | kind |", "| --- | --- | --- |"]
    for reply in REPLIES:
        own = reply.reach is Reach.ACCOUNT and reply.code not in {530, 534, 535, 538}
        if own or reply.kind is Kind.SESSION:
            text = reply.text if len(reply.text) <= 72 else f"{reply.text[:70].rstrip()} …"
            rows.append(f"| {reply.who} | {reply.code} {text.replace('`', '')} | {reply.kind} |")
    return "\n".join(rows)


TABLES: Final[dict[str, Callable[[], str]]] = {
    "meanings": meanings,
    "pauses": pauses,
    "sentences": sentences,
}


def with_tables(page: str) -> str:
    for name, make in TABLES.items():
        begin, end = f"<!-- {name}: made by tests/support/policy_table.py -->", f"<!-- /{name} -->"
        before, found, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"{PAGE} lacks the marks of {name!r}")
        page = f"{before}{begin}\n\n{make()}\n\n{end}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text("utf-8")), "utf-8")
