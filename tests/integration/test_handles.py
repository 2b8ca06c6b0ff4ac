"""Handles on a real broker and state store; ``docs/enqueue.md``; options on the command line."""

import base64
import json
import re
import time
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner
from support.brokers import free_port
from support.processes import python

import mailqueue
from mailqueue import (
    EmailMessage,
    Handle,
    MailQueueError,
    StateError,
    Status,
    configure,
    enqueue,
    ledger,
    schedule,
)
from mailqueue.cli import main
from mailqueue.cli.send import command
from mailqueue.envelope import Envelope
from mailqueue.ledger import Settlement, Verdict, Wanted

PAGE = Path(__file__).parents[2] / "docs" / "enqueue.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def mail(subject="subject"):
    return EmailMessage(subject, "body", "us@example.com", ["ann@example.com"])


def claim(run: str, id_: str) -> Verdict:
    (verdict,) = ledger.claim(run, "default", [Wanted(id_, 0)])
    return verdict


@pytest.fixture
def configured(redis_settings):
    configure(**redis_settings)
    return redis_settings


# Where a mail stands


def test_a_mail_at_the_broker_is_queued_and_can_be_taken_back(broker):
    configure(**broker)
    (handle,) = enqueue(mail())
    assert handle.status() is Status.QUEUED
    assert handle.cancel()
    assert handle.status() is Status.CANCELLED
    assert handle.cancel()
    assert claim("run/1", handle.id) is Verdict.OVER  # a worker that takes it drops it


def test_what_a_worker_has_claimed_cannot_be_taken_back(configured):
    (handle,) = enqueue(mail())
    assert claim("run/1", handle.id) is Verdict.GO
    assert handle.status() is Status.CLAIMED
    assert not handle.cancel()
    assert ledger.begin("run/1", handle.id)
    assert handle.status() is Status.SENDING
    assert not handle.cancel()
    ledger.settle("run/1", "default", Settlement(handle.id, 0, Status.SENT))
    assert handle.status() is Status.SENT
    assert not handle.cancel()
    assert handle.status() is Status.SENT


def test_what_waits_for_another_attempt_can_be_taken_back(configured):
    (handle,) = enqueue(mail())
    claim("run/1", handle.id)
    envelope = Envelope(v=1, id=handle.id, enqueued_at=time.time(), edition=1, attempts=1)
    waits = Settlement(
        handle.id, 0, Status.DEFERRED, "451 later", document=envelope.encode(), delay=60
    )
    ledger.settle("run/1", "default", waits)
    assert handle.status() is Status.DEFERRED
    assert handle.cancel()
    assert handle.status() is Status.CANCELLED
    assert schedule.find(handle.id) is None


def test_a_handle_can_be_made_again_from_what_was_kept_of_it(configured):
    (handle,) = enqueue(mail())
    assert Handle(handle.id, "").cancel()
    assert handle.status() is Status.CANCELLED


def test_an_id_that_nobody_knows_is_queued(configured):
    assert Handle("0" * 32, "").status() is Status.QUEUED


# One key, one mail


def test_the_same_key_is_claimed_once(configured):
    (first,) = enqueue(mail("one"), idempotency_key="order-7")
    (second,) = enqueue(mail("two"), idempotency_key="order-7")
    assert first == second
    assert claim("run/1", first.id) is Verdict.GO
    ledger.begin("run/1", first.id)
    ledger.settle("run/1", "default", Settlement(first.id, 0, Status.SENT))
    assert claim("run/2", second.id) is Verdict.OVER
    assert second.status() is Status.SENT


def test_a_key_stays_used_when_its_mail_was_taken_back(configured):
    (handle,) = enqueue(mail(), idempotency_key="order-7")
    handle.cancel()
    (again,) = enqueue(mail(), idempotency_key="order-7")
    assert again.status() is Status.CANCELLED
    assert claim("run/1", again.id) is Verdict.OVER


def test_all_processes_make_the_same_id_of_a_key(configured):
    (here,) = enqueue(mail(), idempotency_key="order-7")
    code = (
        "from mailqueue import EmailMessage, enqueue\n"
        "message = EmailMessage('s', 'b', 'us@example.com', ['ann@example.com'])\n"
        "print(enqueue(message, idempotency_key='order-7')[0].id)"
    )
    assert python(code, configured).stdout.strip() == here.id


# A state store that is away


@pytest.mark.parametrize("method", ["status", "cancel"])
def test_a_state_store_that_is_away_is_a_sentence_without_password(configured, method):
    (handle,) = enqueue(mail())
    port = free_port()
    configure(MAILQUEUE_REDIS_URL=f"redis://user:hunter2@127.0.0.1:{port}/0")
    with pytest.raises(StateError, match=f"127.0.0.1:{port}.*does not answer") as caught:
        getattr(handle, method)()
    assert "hunter2" not in str(caught.value)
    assert isinstance(caught.value, MailQueueError)
    assert isinstance(caught.value, ConnectionError)


def test_enqueuing_needs_no_state_store(configured):
    configure(MAILQUEUE_REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    (handle,) = enqueue(mail(), delay=60, expires=3600, idempotency_key="k")
    assert handle.id in handle.message_id


# The page


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text("utf-8")


def test_the_examples_run_in_their_order(page, configured):
    blocks = list(BLOCK.finditer(page))
    assert len(blocks) == page.count("```python") >= 5
    # Empty lines in front: a traceback then has the page's line numbers.
    program = ""
    for block in blocks:
        program += "\n" * (page.count("\n", 0, block.start(1)) - program.count("\n")) + block[1]
    python(program, configured)


def test_the_page_has_every_option_and_every_status(page):
    import inspect

    for name in [*inspect.signature(enqueue).parameters, *Status, "StateError"]:
        assert f"`{name}`" in page, name


def test_the_page_s_commands_are_the_command_s_options(page):
    offered = {option for param in command.params for option in param.opts}
    typed = set(re.findall(r"--[a-z][a-z-]+", page))
    assert typed
    assert typed <= offered


# The command line


@pytest.fixture
def send(configured, monkeypatch):
    for name, value in configured.items():
        monkeypatch.setenv(name, value)
    mailqueue.conf.reset()

    def run(*options):
        to = () if "--csv" in options else ("--to", "ann@example.com")
        return CliRunner().invoke(main, ["send", *to, *options])

    return run


def queued(settings) -> list[Envelope]:
    client = redis.Redis.from_url(settings["MAILQUEUE_BROKER_URL"])
    found = []
    for raw in reversed(client.lrange(settings["MAILQUEUE_QUEUE"], 0, -1)):
        args, _, _ = json.loads(base64.b64decode(json.loads(raw)["body"]))
        found += [Envelope.decode(document) for document in args[0]]
    return found


def test_options_on_the_command_line(send, configured):
    now = time.time()
    result = send("--delay", "10m", "--expires", "2h", "--idempotency-key", "report-7")
    assert result.exit_code == 0, result.output
    assert send("--idempotency-key", "report-7").stdout == result.stdout
    assert send("--at", "2033-05-18T05:33:20+02:00").exit_code == 0
    first, _, last = queued(configured)
    assert result.stdout == f"{first.id}\n"
    assert first.not_before == pytest.approx(now + 600, abs=10)
    assert first.expires_at == pytest.approx(now + 7200, abs=10)
    assert last.not_before == 2_000_000_000


def test_a_finished_message_takes_them_too(send, configured, tmp_path):
    path = tmp_path / "letter.eml"
    path.write_text("From: us@example.com\nTo: bob@example.com\nSubject: s\n\ntext\n")
    assert send("--eml", str(path), "--delay", "1h").exit_code == 0
    assert queued(configured)[0].not_before > time.time()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--delay", "10"), ("--delay", "'10' is no duration", "15m")),
        (("--delay", "-5m"), ("--delay",)),
        (("--delay", ""), ("--delay", "no duration")),
        (("--delay", "600w"), ("ten years",)),
        (("--expires", "soon"), ("--expires", "no duration")),
        (("--delay", "2h", "--expires", "1h"), ("expires", "never be sent")),
        (("--expires", "0s"), ("expires", "never be sent")),
        (("--at", "tomorrow"), ("--at", "no moment")),
        (("--at", "2033-05-18T03:33:20"), ("--at", "no time zone")),
        (("--at", "2233-05-18T03:33:20Z"), ("ten years",)),
        (("--at", "2033-05-18T03:33:20Z", "--delay", "0s"), ("--delay and --at",)),
        (("--idempotency-key", ""), ("idempotency_key",)),
        (("--idempotency-key", "x" * 1001), ("idempotency_key", "1,000")),
        (("--csv", __file__, "--template", __file__, "--delay", "0s"), ("--csv", "--delay")),
        (("--csv", __file__, "--template", __file__, "--idempotency-key", "k"), ("--csv",)),
    ],
)
def test_wrong_options_are_wrong_usage(send, configured, options, words):
    result = send(*options)
    assert result.exit_code == 2, result.output
    for word in words:
        assert word in result.stderr
    assert "Traceback" not in result.output
    assert queued(configured) == []
