"""The helpers that users get for their own tests, used as a user would."""

import pytest

import mailqueue
from mailqueue import EmailMessage, EncodeError, send_mail, send_mass_mail
from mailqueue.testing import assert_mail_enqueued, assert_no_mail_enqueued, capturing, eager


def test_the_outbox_has_what_was_sent_and_nothing_left_the_process(mailqueue_outbox):
    assert send_mail("Welcome", "Good to have you", "us@example.com", ["ann@example.com"]) == 1
    (message,) = mailqueue_outbox
    assert (message.subject, message.to) == ("Welcome", ["ann@example.com"])
    assert_mail_enqueued(subject="Welcome", to=["ann@example.com"], body="have you")
    assert_no_mail_enqueued(subject="Goodbye")


def test_counts_are_compared(mailqueue_outbox):
    send_mass_mail([("News", "x", "us@example.com", [f"r{n}@example.com"]) for n in range(60)])
    assert len(assert_mail_enqueued(count=60, subject="News")) == 60
    with pytest.raises(AssertionError, match="60 mails with subject='News' enqueued, expected 1"):
        assert_mail_enqueued(count=1, subject="News")


def test_a_failure_lists_what_there_was(mailqueue_outbox):
    send_mail("Welcome", "x", "us@example.com", ["ann@example.com"])
    with pytest.raises(AssertionError, match=r"'Welcome' to \['ann@example.com'\]"):
        assert_mail_enqueued(subject="Wellcome")
    with pytest.raises(TypeError, match="no attribute 'sujet'"):
        assert_mail_enqueued(sujet="Welcome")


def test_what_could_not_be_queued_fails_in_the_test(mailqueue_outbox):
    message = EmailMessage("x", "x", "us@example.com", ["ann@example.com"])
    message.metadata = {"at": object()}  # type: ignore[attr-defined]
    with pytest.raises(EncodeError, match="metadata"):
        message.send()
    assert mailqueue_outbox == []


def test_outboxes_nest_and_end():
    with capturing() as outer:
        with capturing() as inner:
            send_mail("inner", "x", "us@example.com", ["ann@example.com"])
        send_mail("outer", "x", "us@example.com", ["ann@example.com"])
        assert [message.subject for message in inner] == ["inner"]
        assert [message.subject for message in outer] == ["outer"]
    with pytest.raises(RuntimeError, match="mailqueue_outbox"):
        assert_mail_enqueued()


def test_eager_delivers_through_the_delivery_backend():
    mailqueue.configure(MAILQUEUE_DELIVERY_BACKEND="mailqueue.backends.locmem.EmailBackend")
    mailqueue.outbox = []  # type: ignore[attr-defined]
    with eager():
        assert send_mail("Welcome", "x", "us@example.com", ["ann@example.com"]) == 1
    assert [message.subject for message in mailqueue.outbox] == ["Welcome"]  # type: ignore[attr-defined]
    del mailqueue.outbox  # type: ignore[attr-defined]
