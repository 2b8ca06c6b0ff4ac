"""Events: who is told what, and that a listener can do no harm."""

import logging
import sys
import types

import pytest

from mailqueue import (
    ConfigurationError,
    EmailMessage,
    EnqueueError,
    configure,
    enqueue,
    enqueuing,
    events,
)
from mailqueue.events import Event, subscribe, tell, unsubscribe, wanted


def mail(*to):
    return EmailMessage("subject", "body", "us@example.com", list(to or ["ann@example.com"]))


@pytest.fixture
def broker():
    published: list[str] = []

    def publish(batches):
        published.extend(item.id for batch in batches for item in batch)

    with enqueuing.published_by(publish):
        yield published


@pytest.fixture
def told():
    found: list[Event] = []
    subscribe(found.append)
    yield found
    unsubscribe(found.append)


@pytest.fixture
def module(monkeypatch):
    """A module of the application, with a function that keeps events in ``seen``."""
    made = types.ModuleType("application_listeners")
    made.seen = []  # type: ignore[attr-defined]
    made.keep = made.seen.append  # type: ignore[attr-defined]
    made.broken = lambda event: 1 / 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, made.__name__, made)
    events.load_handler.cache_clear()
    yield made
    events.load_handler.cache_clear()


def test_each_message_is_told_once_the_broker_has_it(broker, told):
    handles = enqueue([mail("ann@example.com", "Bob <bob@example.com>"), mail()])
    assert [(event.name, event.id, event.message_id) for event in told] == [
        ("enqueued", handle.id, handle.message_id) for handle in handles
    ]
    assert told[0].recipients == ("ann@example.com", "Bob <bob@example.com>")
    assert (told[0].route, told[0].attempts, told[0].detail) == ("default", 0, "")
    assert broker == [handle.id for handle in handles]


def test_it_is_told_after_the_broker_took_it_never_before(told):
    def publish(batches):
        assert told == []

    with enqueuing.published_by(publish):
        enqueue(mail())
    assert len(told) == 1


@pytest.mark.parametrize("silently", [False, True])
def test_what_was_taken_before_the_broker_fell_silent_is_told(told, silently):
    def publish(batches):
        ids = [item.id for batch in batches for item in batch]
        raise EnqueueError("away", enqueued=tuple(ids[:2]), not_enqueued=tuple(ids[2:]))

    with enqueuing.published_by(publish):
        if silently:
            taken = tuple(handle.id for handle in enqueue([mail()] * 5, fail_silently=True))
        else:
            with pytest.raises(EnqueueError) as caught:
                enqueue([mail()] * 5)
            taken = caught.value.enqueued
    assert tuple(event.id for event in told) == taken
    assert len(taken) == 2


def test_nobody_is_told_of_what_was_refused(broker, told):
    with pytest.raises(ValueError, match="address"):
        enqueue([mail(), mail("no address")])
    enqueue([mail("")])
    assert told == broker == []


def test_functions_are_named_in_the_settings(broker, module):
    assert not wanted()
    configure(MAILQUEUE_EVENTS=["application_listeners.keep"])
    assert wanted()
    (handle,) = enqueue(mail())
    assert [event.id for event in module.seen] == [handle.id]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("application_listeners.missing", "missing"),
        ("no_such_module.handler", "no_such_module"),
        ("handler", "cannot be loaded"),
        ("application_listeners.seen", "is a list"),
    ],
)
def test_a_wrong_name_is_told_before_anything_is_enqueued(broker, module, path, words):
    configure(MAILQUEUE_EVENTS=[path])
    with pytest.raises(ConfigurationError, match=f"MAILQUEUE_EVENTS: .*{words}.*dotted path"):
        enqueue(mail(), fail_silently=True)
    assert broker == []


def test_a_listener_that_fails_is_logged_and_changes_nothing(broker, module, told, caplog):
    configure(MAILQUEUE_EVENTS=["application_listeners.broken", "application_listeners.keep"])

    def leaky(event: Event) -> None:
        raise RuntimeError(f"cannot store {event.recipients[0]}")

    subscribe(leaky)
    try:
        with caplog.at_level(logging.ERROR, "mailqueue.events"):
            handles = enqueue([mail(), mail()])
    finally:
        unsubscribe(leaky)
    assert len(handles) == len(told) == len(module.seen) == 2
    assert caplog.text.count("ZeroDivisionError") == caplog.text.count("cannot store") == 2
    assert "***@example.com" in caplog.text
    assert "ann@example.com" not in caplog.text


def test_a_listener_is_told_once_however_often_it_subscribes():
    seen: list[Event] = []
    assert subscribe(seen.append) == seen.append
    subscribe(seen.append)
    tell(Event(name="sent", id="0" * 32))
    unsubscribe(seen.append)
    unsubscribe(seen.append)
    tell(Event(name="sent", id="1" * 32))
    assert [event.id for event in seen] == ["0" * 32]
