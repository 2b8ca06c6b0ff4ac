"""Mail that is sent later, or until a time, or once by its key, or not at all any more."""

import time
from contextlib import ExitStack
from datetime import timedelta

import msgspec
import pytest
from support.processes import until, worker

from mailqueue import EmailMessage, Status, conf, enqueue, failed, ledger, schedule
from mailqueue.desk.queue_length import queue_length
from mailqueue.desk.standing import standing_of
from mailqueue.envelope import Envelope
from mailqueue.state import get_state, key

both_brokers = pytest.mark.parametrize(
    "broker", ["redis-tcp", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)], indirect=True
)


def message(name: str = "later") -> EmailMessage:
    return EmailMessage("Subject", "Body", f"{name}@example.com", ["ann@example.com"])


def with_smtp(broker: dict[str, str], smtp, **more: str) -> dict[str, str]:
    settings = broker | {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(smtp.port)} | more
    conf.configure(**settings)
    return settings


def named(broker: dict[str, str], number: int = 0) -> tuple[str, str]:
    """A node name of its own: RabbitMQ gives a name's control queue to one worker only."""
    return "-n", f"{broker['MAILQUEUE_QUEUE']}-{number}@%h"


@both_brokers
def test_a_delay_longer_than_the_visibility_timeout(broker, smtp, tmp_path):
    settings = with_smtp(broker, smtp, MAILQUEUE_VISIBILITY_TIMEOUT="3")
    arrivals: list[float] = []
    smtp.script = lambda verb, _argument, _connection: (
        arrivals.append(time.time()) if verb == "MAIL" else None
    )
    not_before = time.time() + 8
    (handle,) = enqueue(message(), delay=8)
    with ExitStack() as stack:
        logs = [
            stack.enter_context(worker(settings, tmp_path / f"{n}.log", *named(broker, n)))
            for n in range(2)
        ]
        until(lambda: schedule.find(handle.id), 20, lambda: [running.log for running in logs])
        waiting = schedule.find(handle.id)
        assert waiting
        assert waiting.due is not None
        assert waiting.due >= not_before
        # Nothing of it is left at the broker, which would hand it out again meanwhile.
        until(lambda: _at_broker() == 0, 20)
        until(lambda: smtp.received, 40, lambda: [running.log for running in logs])
        until(lambda: handle.status() is Status.SENT, 20)
        # Long enough for a second copy, where there is one.
        until(lambda: _at_broker() == ledger.in_flight() == 0, 20)
    assert len(arrivals) == len(smtp.received) == 1
    assert arrivals[0] >= not_before
    assert schedule.count() == 0
    for running in logs:
        assert "WARNING/MainProcess" not in running.log


def _at_broker() -> int:
    """Batches that the broker has, those included that a worker has not acknowledged."""
    found = queue_length()
    return (found.batches or 0) + (found.taken or 0)


def test_mail_for_a_day_in_weeks_stays_in_the_schedule_until_then(redis_settings, smtp, tmp_path):
    settings = with_smtp(redis_settings, smtp)
    soon = time.time()
    (handle,) = enqueue(message(), delay=timedelta(weeks=3))
    with worker(settings, tmp_path / "first.log") as running:
        until(lambda: schedule.find(handle.id), 20, lambda: running.log)
        until(lambda: ledger.in_flight() == 0, 20)
        assert handle.status() is Status.SCHEDULED
    with worker(settings, tmp_path / "second.log") as running:
        waiting = schedule.find(handle.id)
        assert waiting
        assert waiting.due is not None
        assert waiting.due > soon + 20 * 86_400
        assert get_state().ttl(key("mail", handle.id)) > 20 * 86_400  # it is remembered as long
        assert not smtp.received
        _make_due(waiting)
        until(lambda: handle.status() is Status.SENT, 20, lambda: running.log)
    assert len(smtp.received) == 1
    assert schedule.count() == 0
    assert schedule.find(handle.id) is None


def _make_due(waiting: schedule.Waiting) -> None:
    """Shorten the weeks: in the mail, which says when it may be sent, and in the schedule."""
    envelope = msgspec.structs.replace(Envelope.decode(waiting.document), not_before=0.0)
    client = get_state()
    client.hset(key("documents"), waiting.id, f"{waiting.edition}|{envelope.encode()}")
    client.zadd(key("schedule"), {waiting.id: 0}, xx=True)


def test_the_hour_of_the_schedule_alone_sends_nothing_early(redis_settings, smtp, tmp_path):
    settings = with_smtp(redis_settings, smtp)
    (handle,) = enqueue(message(), delay=timedelta(weeks=3))
    with worker(settings, tmp_path / "worker.log") as running:
        until(lambda: schedule.find(handle.id), 20, lambda: running.log)
        before = schedule.find(handle.id)
        assert before
        get_state().zadd(key("schedule"), {handle.id: 0}, xx=True)

        def is_back() -> bool:
            found = schedule.find(handle.id)
            if found is None or found.edition <= before.edition:
                return False
            return bool(found.due == pytest.approx(before.due, abs=1))

        until(is_back, 20, lambda: running.log)
    assert not smtp.received


def test_one_key_one_mail_whoever_enqueues_it_and_how_often(redis_settings, smtp, tmp_path):
    settings = with_smtp(redis_settings, smtp)
    first = enqueue([message("a"), message("b")], idempotency_key="order 17")
    second = enqueue([message("a"), message("b")], idempotency_key="order 17")
    (other,) = enqueue(message("c"), idempotency_key="order 18")
    assert [handle.id for handle in first] == [handle.id for handle in second]
    with worker(settings, tmp_path / "worker.log") as running:
        until(lambda: other.status() is Status.SENT, 20, lambda: running.log)
        # Also when it is sent already.
        enqueue([message("a"), message("b")], idempotency_key="order 17")
        (last,) = enqueue(message("d"))
        until(lambda: last.status() is Status.SENT, 20, lambda: running.log)
        until(_is_idle, 20, lambda: running.log)
    senders = sorted(mail.sender for mail in smtp.received)
    assert senders == [f"{name}@example.com" for name in "abcd"]
    assert failed.count() == 0


def _is_idle() -> bool:
    return _at_broker() == schedule.count() == ledger.in_flight() == 0


@both_brokers
def test_what_is_cancelled_before_a_worker_has_it_is_never_sent(broker, smtp, tmp_path):
    settings = with_smtp(broker, smtp)
    queued, others = enqueue(message("queued"))[0], enqueue([message("one"), message("two")])
    (later,) = enqueue(message("later"), delay=600)
    assert queued.cancel()
    assert others[0].cancel()
    with worker(settings, tmp_path / "worker.log", *named(broker)) as running:
        until(lambda: others[1].status() is Status.SENT, 20, lambda: running.log)
        until(lambda: schedule.find(later.id), 20, lambda: running.log)
        assert later.cancel()
        assert schedule.find(later.id) is None
        assert schedule.count() == 0
        until(_is_idle, 20, lambda: running.log)
        assert not others[1].cancel()
    assert [mail.sender for mail in smtp.received] == ["two@example.com"]
    for handle in (queued, others[0], later):
        assert handle.status() is Status.CANCELLED
    assert failed.count() == 0


def test_what_has_expired_before_a_worker_came_is_kept_and_not_sent(redis_settings, smtp, tmp_path):
    settings = with_smtp(redis_settings, smtp)
    (handle,) = enqueue(message(), expires=0.5)
    (fresh,) = enqueue(message("fresh"), expires=600)
    time.sleep(0.6)  # what it says is what is tested
    with worker(settings, tmp_path / "worker.log") as running:
        until(lambda: handle.status().final and fresh.status().final, 20, lambda: running.log)
    assert [mail.sender for mail in smtp.received] == ["fresh@example.com"]
    (entry,) = failed.entries()
    assert (entry.id, entry.reason, entry.attempts) == (handle.id, "expired", 0)
    standing = standing_of(handle.id)
    assert standing
    assert (standing.status, standing.failed, standing.attempts) == (Status.EXPIRED, 1, 0)
