"""``enqueue()`` with a list in the broker's place: options, logs, stand-ins for tests."""

import datetime as dt
import email.message
import json
import logging
import pickle
import time
from collections.abc import Sequence

import pytest

import mailqueue
from mailqueue import (
    ConfigurationError,
    EmailMessage,
    EnqueueError,
    Handle,
    Status,
    configure,
    enqueue,
    enqueuing,
    get_connection,
    send_mail,
)
from mailqueue.batch import Encoded
from mailqueue.envelope import Envelope
from mailqueue.testing import capturing, eager, envelope_of

QUEUE = "mailqueue.backends.queue.EmailBackend"


def mail(subject="subject", to=("ann@example.com",)):
    return EmailMessage(subject, "body", "us@example.com", list(to))


@pytest.fixture
def taken():
    """Envelopes that went to the broker."""
    found: list[Envelope] = []

    def publish(batches):
        found.extend(Envelope.decode(item.data) for batch in batches for item in batch)

    with enqueuing.published_by(publish):
        yield found


def test_options_reach_the_envelope(taken):
    now = time.time()
    (handle,) = enqueue(mail(), delay=60, expires=dt.timedelta(hours=1), on_unknown="hold")
    (envelope,) = taken
    assert envelope.id == handle.id
    assert envelope.not_before == pytest.approx(now + 60, abs=5)
    assert envelope.expires_at == pytest.approx(now + 3600, abs=5)
    assert envelope.on_unknown == "hold"
    assert f"<{handle.id}@" in handle.message_id


def test_a_wrong_option_enqueues_nothing(taken):
    for options in ({"delay": "1"}, {"eta": 5, "delay": 5}, {"on_unknown": "?"}, {"expires": 0},
                    {"idempotency_key": ""}):  # fmt: skip
        with pytest.raises((ValueError, TypeError)):
            enqueue(mail(), fail_silently=True, **options)
    assert taken == []


def test_options_are_named_never_by_position():
    with pytest.raises(TypeError, match="positional"):
        enqueue(mail(), False, 60)  # type: ignore[call-arg]


def test_the_same_key_gets_the_same_handle_and_each_message_of_a_call_one_of_its_own(taken):
    first = enqueue([mail("1"), mail("2"), mail("3")], idempotency_key="news")
    again = enqueue([mail("1"), mail("2"), mail("3")], idempotency_key="news")
    assert first == again
    assert len({handle.id for handle in first}) == 3
    assert enqueue(mail(), idempotency_key="news") == first[:1]
    assert enqueue(mail(), idempotency_key="news ") != first[:1]


def test_a_message_without_recipients_keeps_its_position(taken):
    full = enqueue([mail("1"), mail("2")], idempotency_key="k")
    assert enqueue([mail("1", to=()), mail("2")], idempotency_key="k") == full[1:]


# Routes and priorities


@pytest.fixture
def batches():
    found: list[Sequence[Encoded]] = []
    with enqueuing.published_by(found.extend):
        yield found


def router(message):
    return "news" if message.subject == "news" else None


def test_route_and_priority_reach_the_envelope_and_the_batch(batches):
    configure(MAILQUEUE_ROUTES={"news": {"host": "h"}})
    enqueue([mail(), mail()], route="news", priority="bulk")
    (batch,) = batches
    for item in batch:
        envelope = Envelope.decode(item.data)
        assert (item.route, item.priority) == (envelope.route, envelope.priority)
        assert (envelope.route, envelope.priority) == ("news", "bulk")


def test_most_mail_carries_neither(batches):
    enqueue(mail())
    ((item,),) = batches
    assert (item.route, item.priority) == ("default", "normal")
    assert not {"route", "priority"} & set(json.loads(item.data))


def test_messages_of_one_call_may_take_several_routes_in_batches_of_their_own(batches, caplog):
    caplog.set_level(logging.DEBUG, "mailqueue.enqueue")
    configure(
        MAILQUEUE_ROUTES={"news": {}, "ours": {"senders": ["@example.com"]}},
        MAILQUEUE_ROUTER=f"{__name__}.router",
    )
    handles = enqueue([mail("news"), mail("a"), mail("news"), mail("b")], priority="high")
    assert [[item.route for item in batch] for batch in batches] == [["news"] * 2, ["ours"] * 2]
    assert {item.priority for batch in batches for item in batch} == {"high"}
    assert [r.getMessage().rpartition("=")[2] for r in caplog.records[1:]] == [
        "news", "ours", "news", "ours",
    ]  # fmt: skip
    assert {handle.id for handle in handles} == {i.id for batch in batches for i in batch}


def test_the_standard_library_s_messages_have_routes_too(batches):
    configure(MAILQUEUE_ROUTES={"ours": {"senders": ["us@example.com"]}})
    message = email.message.EmailMessage()
    message["From"], message["To"] = "us@example.com", "ann@example.com"
    message.set_content("body")
    enqueue(message)
    assert [item.route for batch in batches for item in batch] == ["ours"]


def test_the_queue_backend_takes_route_and_priority(batches):
    configure(MAILQUEUE_ROUTES={"news": {}})
    get_connection(QUEUE, route="news", priority="high").send_messages([mail()])
    ((item,),) = batches
    assert (item.route, item.priority) == ("news", "high")
    with pytest.raises(ValueError, match="the routes are default, news"):
        get_connection(QUEUE, route="nws")
    with pytest.raises(ValueError, match="priority is 'urgent'"):
        get_connection(QUEUE, priority="urgent")


def test_routes_that_are_wrong_enqueue_nothing_and_missing_passwords_do_not_matter(batches):
    configure(MAILQUEUE_ROUTES={"news": {"preset": "sendgrid"}})
    assert enqueue(mail(), route="news")
    batches.clear()
    configure(MAILQUEUE_ROUTES={"news": {"limits": ["x"]}})
    for options in ({}, {"route": "news"}, {"fail_silently": True}):
        with pytest.raises(ConfigurationError, match=r"route 'news': limits\[0\]"):
            enqueue(mail(), **options)
    assert batches == []


def test_a_key_means_the_same_mail_by_whichever_route():
    configure(MAILQUEUE_ROUTES={"news": {}})
    with capturing():
        first = enqueue(mail(), idempotency_key="k")
        assert enqueue(mail(), idempotency_key="k", route="news", priority="high") == first


# The backend's arguments


def test_the_queue_backend_takes_the_options(taken):
    now = time.time()
    connection = get_connection(QUEUE, delay=60, expires=120, on_unknown="resend", username="ann")
    send_mail("s", "b", "us@example.com", ["ann@example.com"], connection=connection)
    connection.send_messages([mail(), mail()])
    assert [envelope.on_unknown for envelope in taken] == ["resend"] * 3
    assert all(envelope.not_before == pytest.approx(now + 60, abs=5) for envelope in taken)
    assert len({envelope.id for envelope in taken}) == 3


def test_the_queue_backend_refuses_wrong_options_when_it_is_made():
    with pytest.raises(ValueError, match="on_unknown"):
        get_connection(QUEUE, on_unknown="drop")
    with pytest.raises(TypeError, match="delay is a str"):
        get_connection(QUEUE, fail_silently=True, delay="5m")


def test_a_connection_with_a_key_sends_once(taken):
    """A second mail under the same key would never arrive, and nobody would be told."""
    connection = get_connection(QUEUE, idempotency_key="welcome-7")
    assert mail("1", to=()).send() == connection.send_messages([]) == 0
    assert connection.send_messages([mail("1"), mail("2")]) == 2
    with pytest.raises(ValueError, match="another connection, with another key"):
        connection.send_messages([mail("3")])
    assert [envelope.subject for envelope in taken] == ["1", "2"]


def test_a_connection_with_a_key_may_try_again_what_failed(taken):
    def broken(batches):
        raise EnqueueError("away")

    connection = get_connection(QUEUE, idempotency_key="welcome-7")
    with enqueuing.published_by(broken), pytest.raises(EnqueueError):
        connection.send_messages([mail()])
    assert connection.send_messages([mail()]) == 1


# What is logged


def test_logs_have_ids_and_no_addresses(taken, caplog):
    caplog.set_level(logging.DEBUG, "mailqueue.enqueue")
    handles = enqueue([mail(), mail()])
    assert [record.getMessage() for record in caplog.records] == [
        "enqueued messages=2",
        *(f"enqueued id={handle.id} route=default" for handle in handles),
    ]
    assert [record.levelname for record in caplog.records] == ["INFO", "DEBUG", "DEBUG"]


def test_what_the_broker_did_not_take_is_not_logged_as_enqueued(caplog):
    caplog.set_level(logging.DEBUG, "mailqueue.enqueue")
    configure(MAILQUEUE_BATCH_SIZE=1)

    def one_then_silence(batches):
        ids = [item.id for batch in batches for item in batch]
        raise EnqueueError("away", enqueued=tuple(ids[:1]), not_enqueued=tuple(ids[1:]))

    with enqueuing.published_by(one_then_silence):
        (handle,) = enqueue([mail(), mail()], fail_silently=True)
    assert [record.getMessage() for record in caplog.records] == [
        "enqueued messages=1",
        f"enqueued id={handle.id} route=default",
        "1 of 2 messages not enqueued: away",
    ]


# Handles, and the helpers for tests


def test_a_handle_is_a_tuple():
    handle = Handle("0" * 32, "<a@b>")
    id_, message_id = handle
    assert (id_, message_id) == handle == ("0" * 32, "<a@b>")
    assert pickle.loads(pickle.dumps(handle)) == handle


def test_captured_messages_tell_their_options(mailqueue_outbox):
    now = time.time()
    enqueue(mail(), delay=3600, on_unknown="hold")
    envelope = envelope_of(mailqueue_outbox[0])
    assert envelope.not_before == pytest.approx(now + 3600, abs=5)
    assert envelope.on_unknown == "hold"
    with pytest.raises(ValueError, match="did not come out of"):
        envelope_of(mail())


def test_a_captured_message_can_be_sent_once_more(mailqueue_outbox):
    enqueue(mail(), delay=3600)
    mailqueue_outbox[0].send()
    first, second = map(envelope_of, mailqueue_outbox)
    assert (second.not_before, second.subject) == (0.0, first.subject)
    assert second.id != first.id


def test_captured_mail_is_queued_until_it_is_cancelled_without_any_redis(mailqueue_outbox):
    configure(MAILQUEUE_BROKER_URL="redis://127.0.0.1:1/0")
    kept, dropped = enqueue([mail(), mail()])
    assert kept.status() is Status.QUEUED
    assert dropped.cancel()
    assert dropped.cancel()
    assert dropped.status() is Status.CANCELLED
    assert kept.status() is Status.QUEUED
    assert len(mailqueue_outbox) == 2


def test_captured_mail_with_one_key_is_one_mail():
    with capturing() as outbox:
        assert enqueue(mail("1"), idempotency_key="k") == enqueue(mail("2"), idempotency_key="k")
        assert [message.subject for message in outbox] == ["1"]
    with capturing() as other:
        enqueue(mail("3"), idempotency_key="k")
    assert [message.subject for message in other] == ["3"]


def test_eager_ignores_when_and_knows_that_it_is_sent():
    configure(MAILQUEUE_DELIVERY_BACKEND="mailqueue.backends.locmem.EmailBackend")
    mailqueue.outbox = []  # type: ignore[attr-defined]
    try:
        with eager():
            (handle,) = enqueue(mail(), delay=3600, idempotency_key="k")
            enqueue(mail(), idempotency_key="k")
            assert handle.status() is Status.SENT
            assert not handle.cancel()
            with pytest.raises(ValueError, match="on_unknown"):
                enqueue(mail(), on_unknown="drop")  # type: ignore[arg-type]
        assert len(mailqueue.outbox) == 1  # type: ignore[attr-defined]
    finally:
        del mailqueue.outbox  # type: ignore[attr-defined]


def test_eager_tries_again_what_failed():
    configure(MAILQUEUE_DELIVERY_BACKEND="mailqueue.backends.base.BaseEmailBackend")
    with eager():
        for _ in range(2):
            with pytest.raises(NotImplementedError):
                enqueue(mail(), idempotency_key="k")
