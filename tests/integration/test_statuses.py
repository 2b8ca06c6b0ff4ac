"""Where many mails stand, in one question: the same answers as one by one."""

import time

import pytest
import redis
from support.brokers import free_port

from mailqueue import EmailMessage, StateError, Status, configure, enqueue, ledger, statuses
from mailqueue.desk import standings
from mailqueue.envelope import Envelope
from mailqueue.failed import keep_message
from mailqueue.ledger import Settlement, Wanted
from mailqueue.state import get_state, key
from mailqueue.testing import capturing


def mail():
    return EmailMessage("subject", "body", "us@example.com", ["ann@example.com"])


def waits(id_):
    envelope = Envelope(v=1, id=id_, enqueued_at=time.time(), edition=1, attempts=1)
    return Settlement(id_, 0, Status.DEFERRED, "451", document=envelope.encode(), delay=60)


@pytest.fixture
def each_kind(redis_settings):
    """Mails of all kinds, with what each one's handle says."""
    configure(**redis_settings)
    handles = enqueue([mail() for _ in range(9)])
    queued, claimed, sending, sent, deferred, back, cancelled, bounced, forgotten = (
        handle.id for handle in handles
    )
    ids = (claimed, sending, sent, deferred, back, bounced, forgotten)
    ledger.claim("run/1", "default", [Wanted(id_, 0) for id_ in ids])
    for id_ in (sending, sent):
        ledger.begin("run/1", id_)
    ledger.settle("run/1", "default", Settlement(sent, 0, Status.SENT))
    for id_ in (deferred, back, forgotten):
        ledger.settle("run/1", "default", waits(id_))
    # Published again: at the broker, and not in the schedule any more.
    get_state().hdel(key("documents"), back)
    get_state().delete(key("mail", forgotten))
    assert handles[6].cancel()
    get_state().delete(key("mail", bounced))
    keep_message(Envelope(v=1, id=bounced, enqueued_at=time.time()), "bounced", "550 no")
    return handles, {
        queued: "queued",
        claimed: "claimed",
        sending: "sending",
        sent: "sent",
        deferred: "deferred",
        back: "queued",
        cancelled: "cancelled",
        bounced: "bounced",
        forgotten: "deferred",
    }


def test_they_are_those_of_the_handles_in_their_order(each_kind):
    handles, expected = each_kind
    assert statuses(handles) == expected
    assert list(statuses(handles)) == list(expected)
    assert statuses(iter(expected)) == {handle.id: handle.status() for handle in handles}


def test_no_mail_no_question(redis_settings):
    configure(MAILQUEUE_REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert statuses([]) == {}


def test_many_are_one_round_trip_for_each_chunk(each_kind, monkeypatch):
    handles, expected = each_kind
    trips: list[int] = []
    execute = redis.client.Pipeline.execute

    def counted(self, *args):
        trips.append(len(self))
        return execute(self, *args)

    monkeypatch.setattr(redis.client.Pipeline, "execute", counted)
    monkeypatch.setattr(standings, "_CHUNK", 4)
    some = [handle for handle in handles if expected[handle.id] in {"queued", "sent", "claimed"}]
    assert statuses(some) == {handle.id: expected[handle.id] for handle in some}
    assert trips == [12]
    trips.clear()
    unknown = [f"{n:032x}" for n in range(10)]
    assert statuses(unknown) == dict.fromkeys(unknown, Status.QUEUED)
    assert trips == [12, 12, 6]


def test_a_state_store_that_is_away_is_a_sentence(redis_settings):
    configure(**redis_settings)
    handles = enqueue([mail(), mail()])
    port = free_port()
    configure(MAILQUEUE_REDIS_URL=f"redis://user:hunter2@127.0.0.1:{port}/0")
    with pytest.raises(StateError, match=f"127.0.0.1:{port}.*does not answer") as caught:
        statuses(handles)
    assert "hunter2" not in str(caught.value)


def test_captured_mail_answers_without_a_store():
    with capturing():
        one, two = enqueue([mail(), mail()])
        two.cancel()
        assert statuses([one, two.id]) == {one.id: "queued", two.id: "cancelled"}
