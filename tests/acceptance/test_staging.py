"""A copy of an application that may not write to its customers: what its mail server hears of them.

Every address that a worker names to the server is noted, whether the server takes it or not. So
whichever way a mail went, nobody outside may be among these.
"""

import email
import email.policy
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from email.message import EmailMessage as StandardMessage
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from support.processes import Worker, environment, until, worker
from support.smtp import Received, SmtpServer

from mailqueue import (
    EmailMessage,
    EmailMultiAlternatives,
    Handle,
    Status,
    conf,
    enqueue,
    failed,
    ledger,
    schedule,
)
from mailqueue.desk.standing import standing_of

SAFE: Final = "everything@safe.example"
ALLOWED: Final = "ours.example,*.partner.example"
#: Who may get mail where ``ALLOWED`` holds, and who may not.
INSIDE: Final = ["in@ours.example", "cc@sub.partner.example", "bcc@OURS.example"]
OUTSIDE: Final = [
    "out@customer.example",
    "cc@mypartner.example",
    "bcc@ours.example.customer.example",
]
REDIRECT: Final = {"MAILQUEUE_REDIRECT_ALL_TO": SAFE}
ALLOW: Final = {"MAILQUEUE_ALLOWED_DOMAINS": ALLOWED}
DJANGOS: Final = "django.core.mail.backends.smtp.EmailBackend"

#: Staging settings, and the class that delivers.
SETTINGS: Final = {
    "redirect": REDIRECT,
    "allow": ALLOW,
    "both": REDIRECT | ALLOW,
    "django-redirect": REDIRECT | {"MAILQUEUE_DELIVERY_BACKEND": DJANGOS},
    "django-both": REDIRECT | ALLOW | {"MAILQUEUE_DELIVERY_BACKEND": DJANGOS},
    "django-allow": ALLOW | {"MAILQUEUE_DELIVERY_BACKEND": DJANGOS},
}


class Witness:
    """Notes whom the server hears of; refuses as it is told to.

    Attributes:
        asked: Addresses of all RCPT commands, by the local part of the sender.
        refusals: What is said once, by the sender's local part and the verb; at RCPT to the first
            recipient that is named.
    """

    def __init__(self) -> None:
        self.asked: dict[str, list[str]] = {}
        self.refusals: dict[tuple[str, str], str] = {}
        self._senders: dict[int, str] = {}

    def script(self, verb: str, argument: str, connection: int) -> str | None:
        if verb == "MAIL":
            self._senders[connection] = argument.partition("@")[0]
        sender = self._senders[connection]
        if verb == "RCPT":
            self.asked.setdefault(sender, []).append(argument)
        return self.refusals.pop((sender, verb), None)

    def heard(self) -> set[str]:
        """Everybody, in lower case."""
        return {who.lower() for asked in list(self.asked.values()) for who in list(asked)}


class Case(NamedTuple):
    """A mail, and for whom."""

    message: Any
    to: list[str]
    #: How it is enqueued.
    options: dict[str, Any]

    @property
    def inside(self) -> list[str]:
        return [who for who in self.to if who in INSIDE]

    @property
    def outside(self) -> list[str]:
        return [who for who in self.to if who not in INSIDE]


def everyone(name: str, cls: type[Any] = EmailMessage, **fields: Any) -> Any:
    """A mail to people on both sides, in each field, one with a name."""
    return cls(
        "Subject", "Body\n", f"{name}@example.com", [INSIDE[0], f"A Customer <{OUTSIDE[0]}>"],
        [INSIDE[2], OUTSIDE[2]], cc=[INSIDE[1], OUTSIDE[1]], **fields,
    )  # fmt: skip


def standard_message(name: str) -> StandardMessage:
    """One of the standard library's, which travels as finished bytes."""
    message = StandardMessage()
    message["From"], message["To"] = f"{name}@example.com", f"{INSIDE[0]}, You <{OUTSIDE[0]}>"
    message["Cc"], message["Bcc"] = OUTSIDE[1], f"{INSIDE[2]}, {OUTSIDE[2]}"
    message["Subject"] = "Subject"
    message.set_content("Body\n")
    return message


#: For whom that is.
OF_STANDARD: Final = [INSIDE[0], INSIDE[2], *OUTSIDE]


def cases() -> dict[str, Case]:
    """Each way that a mail can go; ``staged`` adds finished messages."""
    attached = everyone("attached", EmailMultiAlternatives)
    attached.attach("data.bin", bytes(range(256)) * 40, "application/octet-stream")
    attached.attach_alternative("<p>Body</p>", "text/html")
    attached.attach("mail.eml", everyone("inner").message().as_bytes(), "message/rfc822")
    own = {"To": "You <out@customer.example>", "cc": OUTSIDE[1]}
    with_headers = everyone("headers", headers=own)
    mails: dict[str, Any] = {name: everyone(name) for name in ("fresh", "deferred", "narrowed")}
    mails |= {name: everyone(name) for name in ("refused", "scheduled", "greylisted")}
    mails |= {"attached": attached, "headers": with_headers}
    made = {
        name: Case(message, INSIDE + OUTSIDE, {"delay": 1} if name == "scheduled" else {})
        for name, message in mails.items()
    }
    for name, to in {
        "outside": OUTSIDE,
        "inside": INSIDE,
        # Where one who looks for an @ from the wrong side would see one of ours.
        "odd": ['"x@ours.example"@customer.example', "x@xours.example"],
    }.items():
        made[name] = Case(EmailMessage("S", "Body\n", f"{name}@example.com", to), to, {})
    return made


REFUSALS: Final = {
    ("deferred", "DATA"): "451 4.3.0 not now",
    ("narrowed", "RCPT"): "450 4.2.0 not now",
    ("greylisted", "MAIL"): "451 4.7.1 come back later",
    ("refused", "RCPT"): "550 5.1.1 never",
}


class Staged(NamedTuple):
    """A worker with staging settings has had all cases."""

    settings: dict[str, str]
    server: SmtpServer
    witness: Witness
    cases: dict[str, Case]
    handles: dict[str, Handle]
    #: Whether the first recipient of "refused" was refused for good.
    refuses: bool
    running: Worker
    explain: Callable[[], object]

    @property
    def redirects(self) -> bool:
        return "MAILQUEUE_REDIRECT_ALL_TO" in self.settings

    @property
    def allows(self) -> bool:
        return "MAILQUEUE_ALLOWED_DOMAINS" in self.settings

    @property
    def permitted(self) -> set[str]:
        """Whom the server may hear of."""
        allowed = {who.lower() for who in INSIDE} | {"corrected@ours.example"}
        return ({SAFE} if self.redirects else set()) | (allowed if self.allows else set())

    def expected(self, case: Case) -> Counter[str]:
        """Who gets it in the end."""
        if not self.allows:
            return Counter([SAFE])
        safe = [SAFE] if self.redirects and case.outside else []
        return Counter(address.lower() for address in [*case.inside, *safe])

    def received(self, name: str) -> list[Received]:
        return [mail for mail in list(self.server.received) if mail.sender.startswith(f"{name}@")]

    def served(self, name: str) -> Counter[str]:
        """Who got it, and how often."""
        return Counter(who.lower() for mail in self.received(name) for who in mail.recipients)


#: For finished messages over Django's backend, see there.
FINISHED: Final = "django-finished"


@pytest.fixture(params=SETTINGS)
def staged(
    request: pytest.FixtureRequest, redis_settings, tmp_path: Path, monkeypatch
) -> Iterator[Staged]:
    witness = Witness()
    values = SETTINGS.get(request.param) or SETTINGS["django-both"]
    is_django = values.get("MAILQUEUE_DELIVERY_BACKEND") == DJANGOS
    finished = {"standard": Case(standard_message("standard"), OF_STANDARD, {})}
    found = finished if request.param == FINISHED else cases() | ({} if is_django else finished)
    # Django's backend says nothing of recipients that were refused beside others who were not.
    silent = is_django and "MAILQUEUE_ALLOWED_DOMAINS" in values
    refusals = {
        (name, verb): reply for (name, verb), reply in REFUSALS.items()
        if name in found and not (silent and verb == "RCPT")
    }  # fmt: skip
    witness.refusals = dict(refusals)
    with SmtpServer(witness.script) as server:
        # Django's settings win where Django is, so they say the same.
        server_settings = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(server.port)}
        (tmp_path / "djangos_settings.py").write_text(
            f"EMAIL_HOST, EMAIL_PORT = '127.0.0.1', {server.port}\n"
        )
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "djangos_settings")
        settings = redis_settings | server_settings | values
        settings["MAILQUEUE_RETRY_SCHEDULE"] = "0.5"
        conf.configure(**settings)
        with worker(settings, tmp_path / "worker.log") as running:
            handles = {
                name: enqueue(case.message, **case.options)[0] for name, case in found.items()
            }
            explain = lambda: (  # noqa: E731 - what `until` wants
                {name: handle.status() for name, handle in handles.items()}, running.log[-3000:],
            )  # fmt: skip
            until(lambda: all(h.status().final for h in handles.values()), 40, explain)
            yield Staged(
                settings, server, witness, found, handles, ("refused", "RCPT") in refusals, running,
                explain,
            )  # fmt: skip
        assert "stays in the queue" not in running.log
        assert "broken off" not in running.log


def command(settings: dict[str, str], *arguments: str) -> str:
    """What an operator types."""
    done = subprocess.run(
        [sys.executable, "-m", "mailqueue", *arguments],
        env=environment(settings), text=True, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def is_idle() -> bool:
    return schedule.count() == ledger.in_flight() == 0


def test_whatever_way_a_mail_goes_nobody_outside_is_ever_named_to_the_server(
    staged: Staged, redis_settings, tmp_path: Path
):
    witness, handles = staged.witness, staged.handles
    assert not witness.refusals, "some refusals were not given"
    for name, case in staged.cases.items():
        assert not staged.witness.heard() - staged.permitted, name
        expected = staged.expected(case)
        if name == "refused" and staged.refuses:
            expected -= Counter([witness.asked[name][0].lower()])
        assert (name, staged.served(name)) == (name, expected)
        says_so(staged, name, case)
    kept(staged)
    if "standard" in staged.cases:
        (tmp_path / "mail.eml").write_bytes(standard_message("eml").as_bytes())
        command(staged.settings, "send", "--eml", str(tmp_path / "mail.eml"))
        until(lambda: staged.received("eml") and is_idle(), 30, staged.explain)
        eml = Case(None, OF_STANDARD, {})
        assert staged.served("eml") == staged.expected(eml)
        says_so(staged, "eml", eml)

    # An operator's retry is no way round, with another address either.
    before = {name: len(asked) for name, asked in witness.asked.items()}
    before_failed = {entry.id for entry in failed.entries()}
    told = json.loads(command(staged.settings, "failed", "retry", "--all", "--json"))
    assert told["retried"] == len(before_failed)
    until(lambda: is_idle() and all(h.status().final for h in handles.values()), 30, staged.explain)
    if staged.allows and not staged.redirects:
        # Whoever is outside is where they were.
        assert {e.id for e in failed.entries()} == before_failed - {
            handles[name].id for name, case in staged.cases.items() if not case.outside
        }
        entry_id = handles["fresh"].id
        options = ["--to", "new@customer.example", "--instead-of", OUTSIDE[0]]
        command(staged.settings, "failed", "retry", entry_id, *options)
        until(lambda: is_idle() and handles["fresh"].status().final, 30, staged.explain)
        assert len(witness.asked["fresh"]) == before["fresh"]
        entry = failed.find(entry_id)
        assert entry
        assert "new@customer.example" in str(entry.envelope())
        options = ["--to", "corrected@ours.example", "--instead-of", OUTSIDE[0]]
        command(staged.settings, "failed", "retry", handles["deferred"].id, *options)
        until(lambda: "corrected@ours.example" in witness.asked["deferred"], 30, staged.explain)
        until(is_idle, 20)
    else:
        assert failed.count() == 0
    assert not witness.heard() - staged.permitted


def says_so(staged: Staged, name: str, case: Case) -> None:
    """Whoever gets it sees that it was meant for others; they do not see for whom, if strangers."""
    for mail in staged.received(name):
        parsed = email.message_from_bytes(mail.content, policy=email.policy.default)
        redirected_from = str(parsed["X-Mailqueue-Redirected-From"] or "")
        count = f"{len(case.outside)} of {len(case.to)} recipients"
        if staged.redirects and not (staged.allows and case.inside):
            told = [who for who in case.to if who in redirected_from]
            assert (name, told) == (name, case.to)
            assert parsed["X-Mailqueue-Redirected"] is parsed["X-Mailqueue-Withheld"] is None
            continue
        assert not redirected_from
        if not case.outside:
            continue
        header = "X-Mailqueue-Redirected" if staged.redirects else "X-Mailqueue-Withheld"
        assert (name, parsed[header]) == (name, count)
        if name not in {"standard", "eml"}:  # finished bytes stay as they are
            head = mail.content.partition(b"\r\n\r\n")[0].decode().lower()
            assert not [who for who in case.outside if who.lower() in head]


def kept(staged: Staged) -> None:
    """Who was withheld is in the failed store, and why; and nobody else."""
    for name, case in staged.cases.items():
        entry = failed.find(staged.handles[name].id)
        standing = standing_of(staged.handles[name].id)
        assert standing
        withheld = case.outside if staged.allows and not staged.redirects else []
        refused = name == "refused" and staged.refuses
        assert standing.status is (Status.BOUNCED if withheld or refused else Status.SENT), name
        if not (withheld or refused):
            assert entry is None
            continue
        assert entry
        assert entry.reason == "bounced"
        if withheld:
            assert "the domain is not in MAILQUEUE_ALLOWED_DOMAINS" in entry.detail
        envelope = entry.envelope()
        assert envelope
        if not refused:
            who = str(envelope.recipients or envelope.to)
            assert [address for address in withheld if address not in who] == []
            assert [address for address in case.inside if address in who] == []


@pytest.mark.parametrize("staged", [FINISHED], indirect=True)
def test_finished_messages_go_nowhere_else_over_django_s_backend_either(staged: Staged):
    (case,) = staged.cases.values()
    assert not staged.witness.heard() - staged.permitted
    assert staged.served("standard") == staged.expected(case)
    says_so(staged, "standard", case)
    (mail,) = staged.received("standard")
    assert b"\n" not in mail.content.replace(b"\r\n", b"")


@pytest.mark.parametrize("staged", ["redirect", "allow", "both"], indirect=True)
def test_what_was_withheld_or_refused_there_is_delivered_without_the_settings(
    staged: Staged, tmp_path: Path
):
    """Each recipient of a mail that is retried later is one whom the application wrote to."""
    asked = staged.witness.asked
    first_refused = asked["refused"][0]
    entries = {entry.id for entry in failed.entries()}
    numbers = {name: len(staged.received(name)) for name in staged.cases}
    outside = {name: case.outside for name, case in staged.cases.items()}
    wanted: dict[str, Counter[str]] = {}
    for name, case in staged.cases.items():
        if staged.handles[name].id not in entries:
            continue
        missing = outside[name] if staged.allows and not staged.redirects else []
        if name == "refused":
            if first_refused == SAFE:
                missing = outside[name] if staged.allows else case.to
            else:
                missing = [*missing, first_refused]
        wanted[name] = Counter(who.lower() for who in missing)
    assert wanted
    plain = {
        name: value for name, value in staged.settings.items()
        if name not in {"MAILQUEUE_REDIRECT_ALL_TO", "MAILQUEUE_ALLOWED_DOMAINS"}
    }  # fmt: skip
    staged.running.process.terminate()
    staged.running.process.wait(45)
    with worker(plain, tmp_path / "plain.log") as running:
        command(plain, "failed", "retry", "--all")
        until(
            lambda: is_idle() and all(h.status().final for h in staged.handles.values()), 40,
            lambda: ([e.detail for e in failed.entries()], running.log[-3000:]),
        )  # fmt: skip
        assert failed.count() == 0
    for name, expected in wanted.items():
        later = staged.received(name)[numbers[name] :]
        found = Counter(who.lower() for mail in later for who in mail.recipients)
        assert (name, found) == (name, expected)
        for mail in later:
            assert b"X-Mailqueue-" not in mail.content
