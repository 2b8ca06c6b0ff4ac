"""Revoking a batch, as Flower's buttons do it: its mail is kept, none is lost and none is sent."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from support.processes import Worker, until, worker
from support.smtp import SmtpServer

from mailqueue import EmailMessage, Handle, Status, conf, enqueue, failed, ledger
from mailqueue.broker import configuration, make_app
from mailqueue.desk.retrying import Retried, retry

SECRET = "SECRET"
LOCAL = "hidden"


class Held:
    """A script that stops the server at the content of the second mail until it is let go."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self._seen = 0

    def __call__(self, verb: str, argument: str, connection: int) -> str | None:
        self._seen += verb == "DATA"
        if verb == "DATA" and self._seen == 2:
            self.reached.set()
            self.go_on.wait(60)
        return None


def batch(name: str, count: int = 4) -> list[Handle]:
    return enqueue(
        [
            EmailMessage(
                f"{SECRET}{n}", SECRET, f"{LOCAL}@example.com", [f"{LOCAL}{n}@{name}.test"]
            )
            for n in range(count)
        ]
    )


def statuses(handles: list[Handle]) -> list[Status]:
    return [handle.status() for handle in handles]


@contextmanager
def held_worker(settings: dict[str, str], smtp: SmtpServer, tmp_path: Path) -> Iterator[Any]:
    """One process, busy with the second mail of the first batch; the other batch waits."""
    smtp.script = held = Held()
    conf.configure(**settings)
    app = make_app(configuration(conf.get_settings()))
    try:
        with worker(settings, tmp_path / "worker.log", "--concurrency", "1") as running:
            first = batch("first")
            until(held.reached.is_set, 20, lambda: running.log)
            second = batch("second")
            yield held, app, running, first, second
            held.go_on.set()
    finally:
        held.go_on.set()


def tasks(app: Any, *methods: str) -> list[dict[str, Any]]:
    found = [getattr(app.control.inspect(timeout=2), method)() or {} for method in methods]
    return [task for answer in found for tasks in answer.values() for task in tasks]


@pytest.fixture
def settings(redis_settings, smtp):
    return redis_settings | {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(smtp.port)}


def active_task(running: Worker, app: Any) -> str:
    found: list[dict[str, Any]] = []

    def look() -> bool:
        found[:] = tasks(app, "active", "reserved")
        return bool(found)

    until(look, 20, lambda: running.log)
    return str(found[0]["id"])


def queued_task(settings: dict[str, str]) -> str:
    """The task that is first in the queue; a worker with one process has not taken it yet."""
    client = redis.Redis.from_url(settings["MAILQUEUE_BROKER_URL"])
    (raw,) = client.lrange(settings["MAILQUEUE_QUEUE"], 0, -1)
    return str(json.loads(raw)["headers"]["id"])


def test_what_is_revoked_before_its_turn_is_kept_and_can_be_sent(settings, smtp, tmp_path):
    with held_worker(settings, smtp, tmp_path) as (held, app, running, first, second):
        # What anybody can ask a worker for names mails, and shows none.
        active = active_task(running, app)
        for shown in (
            repr(tasks(app, "active", "reserved")),
            repr(app.control.inspect(timeout=2).query_task(active)),
        ):
            assert first[0].id in shown
            assert SECRET not in shown
            assert LOCAL not in shown
        app.control.revoke(queued_task(settings), reply=True, timeout=5)
        held.go_on.set()
        until(lambda: failed.count() == 4, 20, lambda: running.log)
        until(lambda: ledger.in_flight() == 0, 20, lambda: running.log)
        assert statuses(first) == [Status.SENT] * 4
        assert statuses(second) == [Status.CANCELLED] * 4
        entries = list(failed.entries())
        assert {(e.id, e.reason) for e in entries} == {(h.id, "revoked") for h in second}
        assert {e.detail for e in entries} == {"its batch was revoked by remote control"}
        assert [retry(entry) for entry in entries] == [Retried.RETRIED] * 4
        until(lambda: len(smtp.received) == 8, 30, lambda: running.log)
        until(lambda: ledger.in_flight() == 0, 20, lambda: running.log)
    assert Counter(statuses(second)) == {Status.SENT: 4}
    assert_discreet(running)


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGKILL"])
def test_a_batch_that_is_terminated_sends_no_more_and_keeps_the_rest(
    settings, smtp, tmp_path, signal
):
    with held_worker(settings, smtp, tmp_path) as (held, app, running, first, second):
        active = active_task(running, app)
        app.control.revoke(active, terminate=True, signal=signal, reply=True, timeout=5)
        if signal == "SIGTERM":  # it finishes the mail at hand
            held.go_on.set()
        until(lambda: "its batch was terminated" in running.log, 30, lambda: running.log)
        held.go_on.set()
        until(lambda: all(h.status() is Status.SENT for h in second), 40, lambda: running.log)
        until(lambda: ledger.in_flight() == 0, 20, lambda: running.log)
    reasons = {entry.id: entry.reason for entry in failed.entries()}
    if signal == "SIGTERM":
        ends = [Status.SENT, Status.SENT, Status.CANCELLED, Status.CANCELLED]
        assert reasons == {first[2].id: "revoked", first[3].id: "revoked"}
    else:
        ends = [Status.SENT, Status.UNKNOWN, Status.CANCELLED, Status.CANCELLED]
        assert reasons == {
            first[1].id: "unknown", first[2].id: "revoked", first[3].id: "revoked"
        }  # fmt: skip
    assert statuses(first) == ends
    served = Counter(str(mail.recipients) for mail in smtp.received)
    assert set(served.values()) == {1}
    assert not any(f"{LOCAL}{n}@first.test" in repr(served) for n in (2, 3))
    assert_discreet(running)


def assert_discreet(running: Worker) -> None:
    assert SECRET not in running.log
    assert LOCAL not in running.log
