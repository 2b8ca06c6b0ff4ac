"""How deliveries end, with a real worker and a server that misbehaves: nothing is lost."""

import email
import os
import signal
import threading
from collections import Counter
from contextlib import contextmanager
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
import redis
from support.outages import ComesAndGoes
from support.processes import until, worker
from support.smtp import SmtpServer

from mailqueue import EmailMessage, conf, failed, ledger, send_mass_mail
from mailqueue.broker import DELIVER, configuration, make_app
from mailqueue.envelope import VERSION, Envelope

#: Begins each local part; no log may hold it.
LOCAL = "hidden"


def address(name: str) -> str:
    return f"{LOCAL}-{name}@example.com"


def mails(name: str, count: int = 5):
    """A batch; its senders and recipients carry the mail's name."""
    return [
        (f"{name}{n}", "SECRET body\n", address(f"from-{name}{n}"), [address(f"{name}{n}")])
        for n in range(count)
    ]


def subjects(smtp: SmtpServer | ComesAndGoes) -> Counter[str]:
    return Counter(str(email.message_from_bytes(mail.content)["Subject"]) for mail in smtp.received)


@pytest.fixture
def settings(redis_settings, smtp):
    settings = redis_settings | {
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": str(smtp.port),
        # What was deferred comes again within a second or two.
        "MAILQUEUE_RETRY_SCHEDULE": "1",
    }
    conf.configure(**settings)
    return settings


@contextmanager
def discreet_worker(settings, directory, *options):
    """A worker whose log shows neither content nor people."""
    with worker(settings, directory / "worker.log", *options) as running:
        yield running
    assert "SECRET" not in running.log
    assert LOCAL not in running.log


class Once:
    """A script: for a mail of this name, one misbehaviour, at this verb, the first time only.

    Args:
        plan: Name of a mail to verb and reply.
    """

    def __init__(self, **plan: tuple[str, str]) -> None:
        self._plan = plan
        self._current: dict[int, str] = {}
        self.used: list[str] = []

    def __call__(self, verb: str, argument: str, connection: int) -> str | None:
        if argument:
            name = argument.partition("@")[0].removeprefix(f"{LOCAL}-").removeprefix("from-")
            self._current[connection] = name
        name = self._current[connection]
        when, reply = self._plan.get(name, ("", ""))
        if when != verb or name in self.used:
            return None
        self.used.append(name)
        return reply


@pytest.mark.parametrize("fail_silently", [False, True])
def test_a_refusal_for_good_is_kept_and_the_rest_of_its_batch_arrives(
    settings, smtp, tmp_path, fail_silently
):
    refused = address("batch2")
    smtp.script = lambda verb, argument, _: (
        f"550 5.1.1 <{refused}>: no such user" if (verb, argument) == ("RCPT", refused) else None
    )
    send_mass_mail(mails("batch"), fail_silently=fail_silently)
    with discreet_worker(settings, tmp_path) as running:
        until(lambda: "deliver" in running.log and failed.count() == 1, 20, lambda: running.log)
        until(lambda: "succeeded" in running.log or "DeliveryError" in running.log, 20)
    assert subjects(smtp) == {f"batch{n}": 1 for n in (0, 1, 3, 4)}
    assert smtp.connections == 1
    (entry,) = failed.entries()
    assert (entry.reason, entry.attempts) == ("bounced", 1)
    assert entry.detail == f"550 5.1.1 <{refused}>: no such user"
    kept = Envelope.decode(entry.data)
    assert (kept.id, kept.subject, list(kept.to)) == (entry.id, "batch2", [refused])
    if fail_silently:
        assert "succeeded in" in running.log
        assert "DeliveryError" not in running.log
    else:
        assert "succeeded in" not in running.log
        told = next(line for line in running.log.splitlines() if "DeliveryError" in line)
        assert f"{entry.id} 550 5.1.1 <***@example.com>: no such user" in told


def test_whatever_is_temporary_all_of_the_batch_arrives_once_in_the_end(settings, smtp, tmp_path):
    smtp.script = script = Once(
        grey2=("RCPT", f"450 4.2.0 <{address('grey2')}>: greylisted"),
        full1=("DATA", "452 4.3.1 no space"),
        busyrcpt2=("RCPT", "421 4.3.2 too busy"),
        busymail0=("MAIL", "421 4.3.2 too busy"),
        busydata4=("DATA", "421 4.3.2 too busy"),
        gonemail2=("MAIL", "close"),
        gonercpt2=("RCPT", "close"),
        gonedata2=("DATA", "close"),
    )
    names = ["grey", "full", "busyrcpt", "busymail", "busydata", "gonemail", "gonercpt", "gonedata"]
    for name in names:
        send_mass_mail(mails(name))
    with discreet_worker(settings, tmp_path) as running:
        until(
            lambda: len(smtp.received) >= 5 * len(names), 40, lambda: (subjects(smtp), running.log)
        )
        until(lambda: ledger.in_flight() == 0, 20, lambda: running.log)
    assert len(script.used) == len(names)
    assert subjects(smtp) == {f"{name}{n}": 1 for name in names for n in range(5)}
    assert failed.count() == 0
    # The message's own trouble, and a connection that broke at its first message. In all other
    # cases the batch went on over a new connection at once.
    assert running.log.count("] retry: ") == len({"grey", "full", "gonedata", "busymail"})
    assert "450 4.2.0 <***@example.com>: greylisted" in running.log


def test_of_three_recipients_the_refused_one_is_settled_alone(settings, smtp, tmp_path):
    ann, bob, eve = address("ann"), address("bob"), address("eve")
    greylisted = threading.Event()

    def script(verb, argument, _):
        if (verb, argument) == ("RCPT", eve):
            return f"550 5.7.1 <{eve}> not welcome"
        if (verb, argument) == ("RCPT", bob) and not greylisted.is_set():
            greylisted.set()
            return "450 4.2.0 later"
        return None

    smtp.script = script
    EmailMessage("For good", "SECRET", address("me"), [ann], cc=["Eve <" + eve + ">"]).send()
    EmailMessage("For now", "SECRET", address("me"), [ann], bcc=[bob]).send()
    with discreet_worker(settings, tmp_path) as running:
        until(lambda: len(smtp.received) >= 3 and failed.count(), 30, lambda: running.log)
        until(lambda: "succeeded in" in running.log, 20, lambda: running.log)
    served = sorted((subject(mail.content), tuple(mail.recipients)) for mail in smtp.received)
    assert served == [("For good", (ann,)), ("For now", (ann,)), ("For now", (bob,))]
    (entry,) = failed.entries()
    assert entry.reason == "bounced"
    assert entry.detail == f"550 5.7.1 <{eve}> not welcome"
    assert list(Envelope.decode(entry.data).recipients or ()) == [eve]


def subject(content: bytes) -> str:
    return str(email.message_from_bytes(content)["Subject"])


def test_mail_waits_for_a_server_that_is_away(settings, tmp_path):
    with ComesAndGoes(present=False) as late:
        settings |= {"EMAIL_PORT": str(late.port)}
        conf.configure(**settings)
        send_mass_mail(mails("early", 3))
        with discreet_worker(settings, tmp_path) as running:
            told = 'waiting=3 reply="ConnectionRefusedError'
            until(lambda: told in running.log, 20, lambda: running.log)
            late.come()
            until(lambda: len(late.received) >= 3, 40, lambda: running.log)
            until(lambda: "succeeded in" in running.log, 20, lambda: running.log)
    assert subjects(late) == {f"early{n}": 1 for n in range(3)}
    assert failed.count() == 0


def test_a_malformed_message_bounces_alone(settings, smtp, tmp_path):
    def envelope(name, to):
        return Envelope(
            v=VERSION, id=name * 32, enqueued_at=1.0, subject=name, body="SECRET", to=(to,),
            from_email=address("me"),
        ).encode()  # fmt: skip

    bad = [f"{LOCAL}@two@example.com", f"{LOCAL}\r\nDATA", f"a@b.example, {LOCAL}@x.y", f"{LOCAL}@"]
    documents = [envelope("a", address("ann"))]
    documents += [envelope(str(n), to) for n, to in enumerate(bad)]
    documents += [envelope("b", address("bob"))]
    app = make_app(configuration(conf.get_settings()))
    app.send_task(DELIVER, args=(documents,), queue=settings["MAILQUEUE_QUEUE"], argsrepr="(6)")
    with discreet_worker(settings, tmp_path) as running:
        until(lambda: "DeliveryError" in running.log, 20, lambda: running.log)
    assert subjects(smtp) == {"a": 1, "b": 1}
    assert smtp.connections == 1
    assert {(entry.id, entry.reason) for entry in failed.entries()} == {
        (str(n) * 32, "bounced") for n in range(len(bad))
    }
    kinds = {entry.detail.partition(":")[0] for entry in failed.entries()}
    assert kinds <= {"ValueError", "BadHeaderError"}
    assert any(LOCAL in entry.detail for entry in failed.entries())


class Blocking:
    """A script that stops the server while it reads the content of the mail ``number``."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, verb: str, argument: str, connection: int) -> str | None:
        if verb != "DATA" or self.reached.is_set():
            return None
        self._number -= 1
        if self._number >= 0:
            return None
        self.reached.set()
        self.go_on.wait(60)
        return "close"


def test_a_killed_workers_batch_goes_to_the_next_worker(settings, smtp, tmp_path):
    smtp.script = script = Blocking(2)
    settings |= {"MAILQUEUE_VISIBILITY_TIMEOUT": "6"}
    conf.configure(**settings)
    send_mass_mail(mails("batch"))
    try:
        with discreet_worker(settings, tmp_path) as running:
            until(script.reached.is_set, 20, lambda: running.log)
            os.killpg(running.process.pid, signal.SIGKILL)
            running.process.wait()
    finally:
        script.go_on.set()
    assert subjects(smtp).keys() < {f"batch{n}" for n in range(5)}
    with discreet_worker(settings, tmp_path) as running:
        until(lambda: len(subjects(smtp)) == 5, 40, lambda: (subjects(smtp), running.log))
        until(lambda: "succeeded in" in running.log, 20, lambda: running.log)
    assert subjects(smtp) == {f"batch{n}": 1 for n in range(5)}
    assert failed.count() == 0


def test_a_killed_childs_batch_goes_to_another_child(settings, smtp, tmp_path):
    smtp.script = script = Blocking(2)
    settings |= {"MAILQUEUE_VISIBILITY_TIMEOUT": "6"}
    conf.configure(**settings)
    send_mass_mail(mails("batch"))
    client = redis.Redis.from_url(settings["MAILQUEUE_BROKER_URL"])
    queue = settings["MAILQUEUE_QUEUE"]
    with discreet_worker(settings, tmp_path) as running:
        try:
            until(script.reached.is_set, 20, lambda: running.log)
            for child in psutil.Process(running.process.pid).children():
                child.kill()
            until(lambda: "WorkerLost" in running.log, 20, lambda: running.log)
        finally:
            script.go_on.set()
        # For five seconds it waits in the next worker's memory, unacknowledged.
        until(lambda: again(client, queue), 20, lambda: running.log)
        waiting = again(client, queue)
        until(lambda: len(subjects(smtp)) == 5, 40, lambda: (subjects(smtp), running.log))
        until(lambda: "succeeded in" in running.log, 20, lambda: running.log)
    # Two had arrived before, and the ledger knows; of the third nobody knew anything.
    assert subjects(smtp) == {f"batch{n}": 1 for n in range(5)}
    assert running.log.count("resend id=") == 1
    assert failed.count() == 0
    # Content travels in the body (base64) alone: brokers' consoles and Flower show the headers.
    for text in waiting:
        assert "SECRET" not in text
        assert LOCAL not in text


def again(client: Any, queue: str) -> list[str]:
    """Messages, as the broker has them, that were published again."""
    found = client.lrange(queue, 0, -1) + client.hvals(f"{queue}:unacked")
    return [raw.decode() for raw in found if b'"retries": 1' in raw]
