"""What Flower shows of each batch, and what an application is told of each mail."""

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.processes import python, until, worker
from support.scripted_replies import Play, ScriptedServer

from mailqueue import EmailMessage, Handle, Status, conf, enqueue, failed, ledger
from mailqueue.broker import DELIVER, configuration, make_app
from mailqueue.outcomes import Stage
from mailqueue.packing import pack_message

#: Begins each local part; nobody who looks at tasks may see it.
LOCAL = "hidden"
SECRET = "SECRET"
ENDS = {"task-succeeded", "task-failed", "task-retried"}


class Watched:
    """Events of workers, live, as Flower gets them."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def types(self, uuid: str) -> list[str]:
        return [event["type"] for event in self.events if event.get("uuid") == uuid]

    def task_of(self, handle: Handle) -> str:
        """The first task that had this mail in its batch; empty: none yet."""
        for event in list(self.events):
            if event["type"] == "task-received" and handle.id in event["args"]:
                return str(event["uuid"])
        return ""

    def end_of(self, handle: Handle) -> dict[str, Any]:
        """How that task ended; empty: not yet."""
        uuid = self.task_of(handle)
        ends = [e for e in list(self.events) if e.get("uuid") == uuid and e["type"] in ENDS]
        return ends[0] if ends else {}


@contextmanager
def watching() -> Iterator[Watched]:
    """Celery's own receiver, in a thread."""
    watched = Watched()
    app = make_app(configuration(conf.get_settings()))
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": watched.events.append})
        thread = threading.Thread(
            target=receiver.capture, kwargs={"limit": None, "timeout": None, "wakeup": False}
        )
        thread.start()
        try:
            yield watched
        finally:
            receiver.should_stop = True
            thread.join(30)
    assert not thread.is_alive()


def address(name: str) -> str:
    return f"{LOCAL}-{name}@example.com"


def message(name: str) -> EmailMessage:
    return EmailMessage(f"{SECRET} subject", f"{SECRET} body", address(name), [address("to")])


BOUNCE = f"550 5.1.1 <{address('to')}>: no such user"
LATER = f"450 4.2.0 <{address('to')}>: greylisted"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        for name, reply, times in [("bounce", BOUNCE, None), ("later", LATER, 1)]:
            for group in ("loud", "silent", "mixed", "waits"):
                play = Play(Stage.RECIPIENT, reply, times=times)
                server.plays[f"{LOCAL}-{group}.{name}"] = [play]
        yield server


def test_each_batch_ends_as_it_fared_and_shows_nobody(redis_settings, server, tmp_path):
    settings = redis_settings | server.settings | {"MAILQUEUE_RETRY_SCHEDULE": "0.5"}
    conf.configure(**settings)
    with watching() as watched, worker(settings, tmp_path / "worker.log") as running:
        # Once it hears the worker, it misses nothing.
        until(lambda: watched.events, 30, lambda: running.log)
        fine = enqueue([message(f"fine{n}") for n in range(5)])
        loud = enqueue([message("loud.one"), message("loud.bounce"), message("loud.two")])
        silent = enqueue([message("silent.one"), message("silent.bounce")], fail_silently=True)
        waits = enqueue([message("waits.one"), message("waits.later")])
        mixed = enqueue([message("mixed.later"), message("mixed.bounce"), message("mixed.one")])
        everybody = [*fine, *loud, *silent, *waits, *mixed]
        until(lambda: all(h.status().final for h in everybody), 40, lambda: running.log)
        batches = (fine, loud, silent, waits, mixed)
        until(lambda: all(watched.end_of(batch[0]) for batch in batches), 20, lambda: running.log)
        until(lambda: ledger.in_flight() == 0, 20)

        def tasks_that_ended() -> int:
            return sum(event["type"] in ENDS for event in watched.events)

        # What was deferred came in another task or two.
        started = {event["uuid"] for event in watched.events if event["type"] == "task-received"}
        until(lambda: tasks_that_ended() >= len(started), 20, lambda: running.log)

    end = watched.end_of(fine[0])
    assert end["type"] == "task-succeeded"
    assert "'sent': 5" in end["result"]
    assert watched.types(end["uuid"]) == ["task-received", "task-started", "task-succeeded"]

    end = watched.end_of(loud[0])
    assert end["type"] == "task-failed"
    assert "DeliveryError" in end["exception"]
    assert f"{loud[1].id} 550 5.1.1 <***@example.com>: no such user" in end["exception"]
    assert "1 bounced, 2 sent" in end["exception"]
    assert not any(handle.id in end["exception"] for handle in (loud[0], loud[2]))

    end = watched.end_of(silent[0])
    assert end["type"] == "task-succeeded"
    assert "'sent': 1" in end["result"]
    assert "'bounced': 1" in end["result"]

    end = watched.end_of(waits[0])
    assert end["type"] == "task-retried"
    assert "1 deferred, 1 sent" in end["exception"] + end["traceback"]
    assert "450 4.2.0 <***@example.com>: greylisted" in end["exception"] + end["traceback"]

    end = watched.end_of(mixed[0])
    assert end["type"] == "task-failed"
    assert "1 bounced, 1 deferred, 1 sent" in end["exception"]
    assert f"{mixed[1].id} 550 5.1.1" in end["exception"]
    assert mixed[0].id not in end["exception"]

    # No other task failed, and the deferred were sent in the end, once.
    ends = Counter(event["type"] for event in watched.events if event["type"] in ENDS)
    assert (ends["task-failed"], ends["task-retried"]) == (2, 1)
    refused = {f"{LOCAL}-{group}.bounce" for group in ("loud", "silent", "mixed")}
    served = {name: times for (name, _), times in server.deliveries().items()}
    assert set(served.values()) == {1}
    assert len(served) == len(everybody) - len(refused)
    assert not refused & set(served)

    assert_discreet(watched, running.log)


def assert_discreet(watched: Watched, log: str) -> None:
    """No field of any event, and no line of the log, shows content or people."""
    for shown in (*map(repr, watched.events), log):
        assert SECRET not in shown
        assert LOCAL not in shown


def test_what_cannot_be_built_or_read_shows_nobody_either(redis_settings, server, tmp_path):
    settings = redis_settings | server.settings
    conf.configure(**settings)
    bad = [f"{LOCAL}@two@example.com", f"{LOCAL}\r\nDATA", f"{LOCAL}@", f"a@b.example, {LOCAL}@x.y"]
    good = pack_message(message("good"))
    envelopes = [msgspec.structs.replace(good, id=f"{n:032}", to=(to,)) for n, to in enumerate(bad)]
    documents = [one.encode() for one in [*envelopes, good]]
    # An envelope of another version, and what is none at all.
    documents += [good.encode().replace('"v":1', '"v":99'), f"{SECRET} {LOCAL}"]
    app = make_app(configuration(conf.get_settings()))
    with watching() as watched, worker(settings, tmp_path / "worker.log") as running:
        until(lambda: watched.events, 30, lambda: running.log)
        app.send_task(
            DELIVER, args=(documents,), queue=settings["MAILQUEUE_QUEUE"], argsrepr=f"({good.id})"
        )
        handle = Handle(good.id, "")
        until(lambda: watched.end_of(handle), 30, lambda: (watched.events, running.log))
        assert handle.status() is Status.SENT
    end = watched.end_of(handle)
    assert end["type"] == "task-failed"
    assert "4 bounced, 1 sent" in end["exception"]
    assert all(one.id in end["exception"] for one in envelopes)
    assert Counter(entry.reason for entry in failed.entries()) == {"bounced": 4, "undecodable": 2}
    assert_discreet(watched, running.log)


HANDLER = """
import json, os

def on_event(event):
    line = json.dumps([event.name, event.id, event.recipients, event.attempts, event.detail])
    # One write of few bytes, so that processes do not mix their lines.
    with open(os.environ["TOLD"], "ab", buffering=0) as file:
        file.write(line.encode() + b"\\n")
"""

PROGRAM = """
from mailqueue import EmailMessage, enqueue

def message(name, *to):
    return EmailMessage("s", "b", f"{name}@example.com", [f"{who}@example.com" for who in to])

for handle in enqueue([
    message("fine", "ann", "bob"),
    message("bounced", "nobody"),
    message("later", "ann"),
    message("partly", "ann", "nobody", "shy"),
]):
    print(handle.id)
"""


def test_an_application_is_told_of_each_outcome_once(redis_settings, tmp_path: Path):
    told = tmp_path / "told.jsonl"
    (tmp_path / "their_handlers.py").write_text(HANDLER)
    paths = [os.fspath(tmp_path), os.environ.get("PYTHONPATH", "")]
    nobody = Play(Stage.RECIPIENT, "550 5.1.1 nobody", "nobody@example.com", None)
    shy = Play(Stage.RECIPIENT, "450 4.2.0 shy", "shy@example.com")
    with ScriptedServer() as server:
        server.plays = {
            "bounced": [nobody],
            "partly": [nobody, shy],
            "later": [Play(Stage.CONTENT, "451 4.3.0 later")],
        }
        settings = redis_settings | server.settings | {"MAILQUEUE_RETRY_SCHEDULE": "0.5"}
        conf.configure(**settings)
        settings |= {
            "MAILQUEUE_EVENTS": "their_handlers.on_event",
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "TOLD": os.fspath(told),
        }
        ids = python(PROGRAM, settings).stdout.split()
        fine, bounced, later, partly = ids
        with worker(settings, tmp_path / "worker.log") as running:
            until(lambda: _all_final(ids), 40, lambda: running.log)
            until(lambda: ledger.in_flight() == 0, 20)
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    found = Counter((name, id_, *map(_local, to), n, text) for name, id_, to, n, text in lines)
    assert found == {
        ("enqueued", fine, "ann", "bob", 0, ""): 1,
        ("enqueued", bounced, "nobody", 0, ""): 1,
        ("enqueued", later, "ann", 0, ""): 1,
        ("enqueued", partly, "ann", "nobody", "shy", 0, ""): 1,
        ("sent", fine, "ann", "bob", 0, ""): 1,
        ("bounced", bounced, "nobody", 1, "550 5.1.1 nobody"): 1,
        ("deferred", later, "ann", 1, "451 4.3.0 later"): 1,
        ("sent", later, "ann", 1, ""): 1,
        ("sent", partly, "ann", 1, ""): 1,
        ("bounced", partly, "nobody", 1, "550 5.1.1 nobody"): 1,
        ("deferred", partly, "shy", 1, "450 4.2.0 shy"): 1,
        ("sent", partly, "shy", 1, ""): 1,
    }


def _all_final(ids: list[str]) -> bool:
    return all(Handle(id_, "").status().final for id_ in ids)


def _local(who: str) -> str:
    return who.partition("@")[0]
