"""What becomes of a mail that meets a reply: with a real worker and a server that gives it.

One worker and one server play through all replies at once. Each is given to a mail of its own,
which has two recipients; at RCPT only the first of them gets it, so whoever is tried again, or
not, is seen. Replies about the account get a route of their own each: a pause holds up no other.
"""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from support.outages import ComesAndGoes
from support.processes import until, worker
from support.reply_corpus import REPLIES
from support.scripted_replies import CLOSE, KEEP_AND_CLOSE, SILENCE, Play, ScriptedServer

from mailqueue import EmailMessage, Handle, conf, enqueue, failed, ledger, routes
from mailqueue.broker import DELIVER, configuration, make_app
from mailqueue.desk import retrying
from mailqueue.desk.standing import Standing, standing_of
from mailqueue.outcomes import Stage, Status
from mailqueue.packing import pack_message
from mailqueue.state import get_state, key
from worker.policy import PAUSES, Kind

CONNECT, LOGIN, SENDER = Stage.CONNECT, Stage.LOGIN, Stage.SENDER
RCPT, DATA, CONTENT = Stage.RECIPIENT, Stage.DATA, Stage.CONTENT

#: What providers are known to say, and what it has to be taken for. The large collection of such
#: replies is ``support.reply_corpus``; these are the ones that nobody may ever get wrong.
TABLE: Sequence[tuple[Stage, str, Kind]] = (
    (RCPT, "450 4.2.0 greylisted, come back later", Kind.TEMPORARY),
    (RCPT, "550 5.1.1 no such user", Kind.PERMANENT),
    (SENDER, "451 4.3.0 local error", Kind.TEMPORARY),
    (SENDER, "550 5.7.1 not from you", Kind.PERMANENT),
    (DATA, "451 4.3.0 not now", Kind.TEMPORARY),
    (DATA, "554 5.3.0 never", Kind.PERMANENT),
    (CONTENT, "452 4.3.1 no space", Kind.TEMPORARY),
    (CONTENT, "550 5.7.1 not this", Kind.PERMANENT),
    (CONNECT, "421 4.3.2 shutting down", Kind.AWAY),
    (CONNECT, "554 5.3.2 no service here", Kind.AWAY),
    (SENDER, "421 4.3.2 shutting down", Kind.AWAY),
    (RCPT, "421 4.3.2 shutting down", Kind.AWAY),
    (DATA, "421 4.3.2 shutting down", Kind.AWAY),
    (CONTENT, "421 4.3.2 shutting down", Kind.AWAY),
    (SENDER, CLOSE, Kind.AWAY),
    (RCPT, CLOSE, Kind.AWAY),
    (DATA, CLOSE, Kind.AWAY),
    (LOGIN, "535 5.7.8 Authentication credentials invalid", Kind.LOGIN),
    (LOGIN, "534 5.7.9 Please log in with your web browser", Kind.LOGIN),
    (LOGIN, "530 5.7.0 Must issue a STARTTLS command first", Kind.LOGIN),
    (SENDER, "530 5.7.0 Authentication required", Kind.LOGIN),
    (SENDER, "454 Throttling failure: Maximum sending rate exceeded.", Kind.RATE),
    (CONTENT, "454 Throttling failure: Maximum sending rate exceeded.", Kind.RATE),
    (CONTENT, "454 Throttling failure: Daily message quota exceeded.", Kind.QUOTA),
    (RCPT, "550 5.4.5 Daily user sending limit exceeded. gsmtp", Kind.QUOTA),
    (CONTENT, "550 5.4.5 Daily user sending limit exceeded. gsmtp", Kind.QUOTA),
    (SENDER, "432 4.3.2 Concurrent connections limit exceeded.", Kind.CONCURRENCY),
    (
        CONTENT,
        "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; failed",
        Kind.QUOTA,
    ),
    (SENDER, "451 Maximum credits exceeded", Kind.QUOTA),
    (CONTENT, "451 Maximum credits exceeded", Kind.QUOTA),
    (SENDER, "421 Maximum message count per session reached", Kind.SESSION),
    (SENDER, "552 5.3.4 Message size exceeds fixed limit", Kind.PERMANENT),
    (CONTENT, "552 5.3.4 Message too big for system", Kind.PERMANENT),
    (CONTENT, "523 5.3.4 Message length exceeds limit", Kind.PERMANENT),
    (CONTENT, "554 5.6.0 Message content rejected", Kind.PERMANENT),
    (SENDER, "550 5.7.60 SMTP; Client does not have permissions to send as this", Kind.SENDER),
    (SENDER, "553 5.7.1 Sender address rejected: not owned by user", Kind.SENDER),
)


class Case(NamedTuple):
    """A mail that meets a reply."""

    #: The sender's local part, and the route's name where it has one of its own.
    name: str
    stage: Stage
    reply: str
    kind: Kind

    @property
    def struck(self) -> str:
        """The recipient that a reply to RCPT is given to."""
        return f"{self.name}.struck@example.com"

    @property
    def other(self) -> str:
        return f"{self.name}.other@example.com"

    @property
    def message(self) -> EmailMessage:
        sender = f"{self.name}@example.com"
        return EmailMessage("Subject", "Body", sender, [self.struck, self.other])

    @property
    def play(self) -> Play:
        recipient = self.struck if self.stage is RCPT else ""
        if self.kind is Kind.PERMANENT:
            # It would be refused again, if anybody asked.
            return Play(self.stage, self.reply, recipient, None)
        # After a 421 on a connection that has been good, the next one is tried at once.
        twice = self.kind is Kind.SENDER and self.reply.startswith("421")
        return Play(self.stage, self.reply, recipient, 2 if twice else 1)

    @property
    def pauses(self) -> bool:
        return self.kind in PAUSES

    @property
    def waits_long(self) -> bool:
        """Deferred for longer than this test should take."""
        if self.kind is Kind.SENDER:
            return True
        # One recipient of two was refused for the connection's sake, and the other was served; or
        # no connection was there at all.
        partly = self.stage is RCPT and not self.reply.startswith(("421", CLOSE))
        away = self.kind in {Kind.AWAY, Kind.SESSION}
        return away and (partly or self.stage in {CONNECT, LOGIN})


def cases(*stages: Stage) -> list[Case]:
    found = list(TABLE)
    found += [(reply.stage, f"{reply.code} {reply.text}", reply.kind) for reply in REPLIES]
    unique = dict.fromkeys(row for row in found if row[0] in stages)
    return [Case(f"case{number}", *row) for number, row in enumerate(unique)]


class Sent(NamedTuple):
    """A case that is on its way."""

    case: Case
    id: str

    @property
    def standing(self) -> Standing:
        found = standing_of(self.id)
        return found or Standing(self.id, Status.QUEUED)


def settings_for(
    redis_settings: dict[str, str], server: ScriptedServer, **more: str
) -> dict[str, str]:
    settings = redis_settings | server.settings | {"MAILQUEUE_RETRY_SCHEDULE": "0.5"} | more
    conf.configure(**settings)
    return settings


def a_route_each(cases: Iterable[Case]) -> str:
    """A route for each case, all of them to the one server of the settings."""
    return json.dumps({case.name: {} for case in cases})


def send_on_its_own_route(case: Case) -> Sent:
    """One task, one mail, one route."""
    envelope = msgspec.structs.replace(pack_message(case.message), route=case.name)
    settings = conf.get_settings()
    app = make_app(configuration(settings))
    documents = [envelope.encode()]
    app.send_task(DELIVER, args=(documents,), queue=settings.MAILQUEUE_QUEUE, argsrepr="(1)")
    return Sent(case, envelope.id)


def hasten(ids: Iterable[str]) -> None:
    """Let what waits for a time be due now."""
    get_state().zadd(key("schedule"), dict.fromkeys(ids, time.time()), xx=True)


def trouble(sent: Iterable[Sent], wrong: Callable[[Sent], object]) -> list[str]:
    """Every case that went wrong, and how it stands: one run tells about all of them."""
    return [
        f"{one.case.stage} {one.case.reply} ({one.case.kind}): {found}; {one.standing[:6]}"
        for one in sent
        if (found := wrong(one))
    ]


def wait_until_settled(sent: Sequence[Sent], explain: Callable[[], object]) -> None:
    """Wait until nothing moves any more but what waits for a person, or for long."""

    def rests(one: Sent) -> bool:
        standing = one.standing
        if one.case.pauses:
            return (standing.status, bool(standing.parked)) == (Status.DEFERRED, True) or (
                standing.status is Status.SENT
            )
        if one.case.waits_long and standing.due is not None:
            return standing.status is Status.DEFERRED
        return standing.status.final

    def all_rest() -> bool:
        left[:] = [one for one in left or sent if not rests(one)]
        return not left

    left = list(sent)
    until(all_rest, 60, lambda: (left, explain()))


def while_it_waits(one: Sent) -> object:
    """What is wrong with a mail that waits for its route, or for long; None: nothing."""
    case, standing = one.case, one.standing
    if standing.attempts:
        return f"{standing.attempts} attempts were counted"
    pause = routes.paused(case.name)
    if case.kind in {Kind.QUOTA, Kind.LOGIN}:
        # These stay until somebody tries, so they must be there.
        if pause is None or pause.kind != case.kind or routes.parked(case.name) != 1:
            return f"{pause}, {routes.parked(case.name)} parked"
        return None if pause.until and pause.until > time.time() else "no time for a probe"
    if case.pauses:
        # These may be over by now. What counts them is kept four times as long as their longest.
        kept = get_state().ttl(key("route", case.name, "steps"))
        longest = PAUSES[case.kind].longest
        return None if 2 * longest < kept <= 4 * longest else f"{pause}, steps kept {kept} s"
    return f"paused: {pause}" if pause else _not_due(standing, case.kind)


def _not_due(standing: Standing, kind: Kind) -> object:
    if kind is not Kind.SENDER and standing.due is None:
        return None  # this machine is slow, and the seconds are over
    due = (standing.due or 0) - time.time()
    # Likewise, it may be due for a while.
    shortest, longest = (900 - 120, 1800) if kind is Kind.SENDER else (-60, 15)
    return None if shortest < due <= longest else f"due in {due:.1f} s"


def in_the_end(server: ScriptedServer) -> Callable[[Sent], object]:
    """Make a function that says what is wrong with a mail that should be settled."""
    served = server.deliveries()

    def wrong(one: Sent) -> object:
        got = [served[one.case.name, who] for who in (one.case.struck, one.case.other)]
        return _not_bounced(one, got) if one.case.kind is Kind.PERMANENT else _not_sent(one, got)

    return wrong


def _not_bounced(one: Sent, got: list[int]) -> object:
    case, standing, entry = one.case, one.standing, failed.find(one.id)
    others = int(case.stage is RCPT)
    record = ledger.look_up(one.id)
    numbers = (standing.status, record and record.attempts, standing.served, standing.failed)
    if numbers != (Status.BOUNCED, 1, others, 2 - others):
        return f"bounced, 1 attempt, {others} served of 2 is right"
    if entry is None or (entry.reason, entry.detail, entry.attempts) != ("bounced", case.reply, 1):
        return entry or "not in the failed store"
    kept = entry.envelope()
    named = list(kept.recipients or kept.to) if kept else []
    if named != [case.struck, case.other][: 2 - others]:
        return f"kept for {named}"
    return None if got == [0, others] else f"served {got}"


def _not_sent(one: Sent, got: list[int]) -> object:
    standing = one.standing
    counted = int(one.case.kind is Kind.TEMPORARY)
    numbers = (standing.status, standing.attempts, standing.served, standing.failed)
    if numbers != (Status.SENT, counted, 2, 0):
        return f"sent to 2, {counted} attempts is right"
    return failed.find(one.id) or (None if got == [1, 1] else f"served {got}")


def test_each_reply_to_a_mail_does_what_it_must_and_nothing_else(redis_settings, tmp_path):
    with ScriptedServer() as server:
        rows = cases(SENDER, RCPT, DATA, CONTENT)
        settings = settings_for(redis_settings, server, MAILQUEUE_ROUTES=a_route_each(rows))
        server.plays = {case.name: [case.play] for case in rows}
        # Before each a mail without trouble, so that the connection has been good for something.
        plain = [case for case in rows if not case.pauses]
        fine = [Case(f"fine{number}", CONTENT, "", Kind.TEMPORARY) for number in range(len(plain))]
        pairs = zip(fine, plain, strict=True)
        handles = enqueue([case.message for pair in pairs for case in pair])
        sent = [Sent(case, h.id) for case, h in zip(plain, handles[1::2], strict=True)]
        sent += [send_on_its_own_route(case) for case in rows if case.pauses]
        with worker(settings, tmp_path / "worker.log") as running:
            wait_until_settled(sent, lambda: running.log[-3000:])
            waiting = [one for one in sent if one.case.pauses or one.case.waits_long]
            assert not trouble(waiting, while_it_waits)
            own = {case.name for case in rows if case.pauses}
            assert set(routes.known()) == {routes.DEFAULT, *own}
            assert get_state().sismember(key("routes"), routes.DEFAULT) == 0
            release(waiting)
            until(lambda: all(one.standing.status.final for one in sent), 60, lambda: running.log)
            until(lambda: all(Handle(h.id, "").status().final for h in handles), 30)
        assert not trouble(sent, in_the_end(server))
        assert {server.deliveries()[case.name, who] for case in fine
                for who in (case.struck, case.other)} == {1}  # fmt: skip
        assert set(server.played) == {case.name for case in rows}
        assert failed.count() == sum(case.kind is Kind.PERMANENT for case in rows)


def release(waiting: Iterable[Sent]) -> None:
    """Open the routes, and let what waits for a time be due."""
    hasten(one.id for one in waiting if not one.case.pauses)
    for one in waiting:
        if one.case.pauses:
            routes.resume(one.case.name)


def test_each_greeting_and_each_answer_to_a_login_does_what_it_must(redis_settings, tmp_path):
    rows = cases(CONNECT, LOGIN)
    with ScriptedServer(password="right") as server:
        login = {"EMAIL_HOST_USER": "app", "EMAIL_HOST_PASSWORD": "right"}
        ways = a_route_each(rows)
        settings = settings_for(redis_settings, server, MAILQUEUE_ROUTES=ways, **login)
        # Those who are turned away at the door first: the others have to get in to be asked.
        rows.sort(key=lambda case: case.stage is LOGIN)
        server.greetings.extend(case.reply for case in rows if case.stage is CONNECT)
        server.logins.extend(case.reply for case in rows if case.stage is LOGIN)
        sent = [send_on_its_own_route(case) for case in rows]
        # One after the other, so the replies find their mails.
        with worker(settings, tmp_path / "worker.log", "--concurrency", "1") as running:
            wait_until_settled(sent, lambda: running.log[-3000:])
            assert not trouble(sent, while_it_waits)
            assert not trouble(sent, says_another)
            release(sent)
            until(lambda: all(one.standing.status.final for one in sent), 60, lambda: running.log)
        assert not trouble(sent, in_the_end(server))
        assert not server.greetings
        assert not server.logins
        assert failed.count() == 0


def says_another(one: Sent) -> object:
    """The ledger's last words, where they are not the server's (addresses aside)."""
    told = one.standing.detail
    if one.standing.status is Status.SENT:  # a pause of seconds, which is over
        return None
    return None if told[:20] == one.case.reply[:20] else told


def simple(name: str) -> EmailMessage:
    return EmailMessage("Subject", "Body", f"{name}@example.com", ["ann@example.com"])


def enqueued(names: Sequence[str], **options: Any) -> dict[str, Handle]:
    return dict(zip(names, enqueue(map(simple, names), **options), strict=True))


def by_sender(server: ScriptedServer) -> dict[str, int]:
    return {name: times for (name, _), times in server.deliveries().items()}


def test_silence_costs_an_attempt_only_where_it_may_have_been_sent(redis_settings, tmp_path):
    with ScriptedServer() as server:
        settings = settings_for(redis_settings, server, EMAIL_TIMEOUT="2")
        plays = {
            "mail": Play(SENDER, SILENCE),
            "rcpt": Play(RCPT, SILENCE),
            "data": Play(DATA, SILENCE),
            "content": Play(CONTENT, SILENCE),
            "closed.content": Play(CONTENT, CLOSE),
            "kept.content": Play(CONTENT, KEEP_AND_CLOSE),
        }
        server.plays = {name: [play] for name, play in plays.items()}
        # A mail without trouble before each: what comes of one must not touch the next.
        handles = enqueued([one for name in plays for one in (f"before.{name}", name)])
        with worker(settings, tmp_path / "worker.log") as running:
            until(
                lambda: all(handle.status().final for handle in handles.values()),
                60,
                lambda: ({n: h.status() for n, h in handles.items()}, running.log),
            )
        for name, handle in handles.items():
            standing = standing_of(handle.id)
            assert standing
            assert standing.status is Status.SENT
            counted = name in plays and plays[name].stage is CONTENT
            assert (name, standing.attempts) == (name, int(counted))
        # Nobody could know that this one had been taken, and it is sent again, as servers do.
        assert by_sender(server) == dict.fromkeys(handles, 1) | {"kept.content": 2}
        assert failed.count() == 0


def test_what_may_have_been_sent_is_held_for_a_person_where_wanted(redis_settings, tmp_path):
    with ScriptedServer() as server:
        settings = settings_for(redis_settings, server)
        server.plays = {
            "lost": [Play(CONTENT, CLOSE)],
            "kept": [Play(CONTENT, KEEP_AND_CLOSE)],
        }
        handles = enqueued(["before", "lost", "between", "kept", "after"], on_unknown="hold")
        with worker(settings, tmp_path / "worker.log") as running:
            until(lambda: all(h.status().final for h in handles.values()), 30, lambda: running.log)
            assert by_sender(server) == {"before": 1, "between": 1, "kept": 1, "after": 1}
            for name, handle in handles.items():
                entry = failed.find(handle.id)
                assert bool(entry) == (name in server.plays)
                if entry:
                    assert (entry.reason, handle.status()) == ("unknown", Status.UNKNOWN)
            lost = failed.find(handles["lost"].id)
            assert lost
            retrying.retry(lost)
            until(lambda: handles["lost"].status() is Status.SENT, 30, lambda: running.log)
        assert by_sender(server) == dict.fromkeys(handles, 1)
        assert [entry.id for entry in failed.entries()] == [handles["kept"].id]


def test_what_is_deferred_for_too_long_joins_what_was_refused(redis_settings, tmp_path):
    with ScriptedServer() as server:
        settings = settings_for(redis_settings, server, MAILQUEUE_MAX_AGE="2")
        fine, never, later = (f"{name}@example.com" for name in ("fine", "never", "later"))
        server.plays = {
            "sender": [
                Play(RCPT, "550 5.1.1 never", never, None),
                Play(RCPT, "450 4.2.0 later", later, None),
            ]
        }
        (handle,) = enqueue(EmailMessage("S", "B", "sender@example.com", [fine, never, later]))
        with worker(settings, tmp_path / "worker.log") as running:
            until(lambda: handle.status().final, 30, lambda: running.log)
        assert server.deliveries() == {("sender", fine): 1}
        (entry,) = failed.entries()
        assert entry.reason == "gave up"
        assert entry.detail == "550 5.1.1 never; 450 4.2.0 later"
        envelope = entry.envelope()
        assert envelope
        assert set(envelope.recipients or ()) == {never, later}
        # The one was asked once, the other each time.
        assert entry.attempts == len(envelope.tries) == server.played["sender"] - 1
        assert entry.attempts >= 2
        assert handle.status() is Status.EXPIRED


def test_a_server_that_refuses_connections_pauses_the_route_until_a_probe_gets_through(
    redis_settings, tmp_path
):
    with ComesAndGoes(present=False) as server:
        settings = redis_settings | {
            "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(server.port), "MAILQUEUE_BATCH_SIZE": "1",
        }  # fmt: skip
        conf.configure(**settings)
        handles = enqueued([f"mail{number}" for number in range(8)])
        with worker(settings, tmp_path / "worker.log") as running:

            def all_wait() -> bool:
                return {handle.status() for handle in handles.values()} == {Status.DEFERRED}

            until(lambda: routes.paused("default") and all_wait(), 30, lambda: running.log)
            paused = routes.paused("default")
            assert paused
            assert paused.kind == "away"
            assert paused.reason.startswith("ConnectionRefusedError")
            server.come()
            until(lambda: all(h.status().final for h in handles.values()), 60, lambda: running.log)
            assert routes.paused("default") is None
        assert len(server.received) == len({mail.sender for mail in server.received}) == 8
        assert failed.count() == 0
        for handle in handles.values():
            standing = standing_of(handle.id)
            assert standing
            assert (standing.status, standing.attempts) == (Status.SENT, 0)
