"""What enters the queue could be sent; what could not is refused where the caller can answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailqueue import BadHeaderError, EmailMessage, EmailMultiAlternatives, send_mass_mail
from mailqueue.intake import check_message
from mailqueue.raw import RawMessage


def message(**changes) -> EmailMultiAlternatives:
    made = EmailMultiAlternatives("Hello", "x", "a@example.com", ["b@example.com"])
    for name, value in changes.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"subject": "a\nBcc: x@example.com"}, BadHeaderError, "Subject"),
        ({"subject": "a\x0bb"}, BadHeaderError, "Subject"),
        ({"from_email": "a@example.com\r\nX: y"}, BadHeaderError, "From"),
        ({"to": ["b@example.com\nX: y"]}, BadHeaderError, "To"),
        ({"cc": ["b@example.com\u2028X: y"]}, BadHeaderError, "Cc"),
        ({"reply_to": ["b@example.com\n"]}, BadHeaderError, "Reply-To"),
        ({"bcc": ["b@example.com\n"]}, ValueError, "newlines"),
        ({"extra_headers": {"X-A": "b\nc"}}, BadHeaderError, "X-A"),
        ({"extra_headers": {"X A": "b"}}, BadHeaderError, "X A"),
        ({"extra_headers": {"Bcc": "x@example.com"}}, BadHeaderError, "Bcc"),
        ({"extra_headers": {"subject": "again"}}, BadHeaderError, "subject"),
        ({"extra_headers": {"To": "b@example.com\nX: y"}}, BadHeaderError, "To"),
        ({"to": ["not an address"]}, ValueError, "no domain"),
        ({"to": ["a@b@c"]}, ValueError, "Invalid address"),
        ({"to": ["t@example.com\ufe52evil\uff20other.com"]}, ValueError, "Invalid"),
        ({"from_email": "a@example.com, b@example.com"}, ValueError, "Invalid address"),
        ({"attachments": [("a\nb.txt", "x", "text/plain")]}, BadHeaderError, "file name"),
        ({"attachments": [("a.txt", "x", "text/plain\nX: y")]}, BadHeaderError, "mimetype"),
        ({"alternatives": [("<p>", "text/html\nX: y")]}, BadHeaderError, "alternative 1"),
        ({"content_subtype": "plain\nX: y"}, BadHeaderError, "content_subtype"),
        ({"encoding": "iso-8859-1", "body": "Łódź"}, ValueError, "body"),
    ],
)
def test_what_could_never_be_sent_is_refused_and_nothing_enqueued(
    changes, error, words, mailqueue_outbox
):
    made = message(**changes)
    with pytest.raises(error, match=words):
        made.send()
    assert mailqueue_outbox == []


@pytest.mark.parametrize(
    "address",
    ["root", "Ann <ann@example.com>", '"a b"@example.com', "ü@example.com", "a@bücher.example"],
)
def test_unusual_addresses_are_fine(address):
    check_message(message(to=[address], from_email=address))


def test_a_finished_message_is_checked_too():
    raw = RawMessage(b"Subject: x\nBcc: secret@example.com\n\nbody\n")
    raw.to = ["b@example.com"]
    with pytest.raises(BadHeaderError, match="Bcc"):
        check_message(raw)


def test_one_bad_mail_in_a_mailing_enqueues_none(mailqueue_outbox):
    good = ("Hello", "x", "a@example.com", ["b@example.com"])
    with pytest.raises(ValueError, match="no domain"):
        send_mass_mail([good] * 120 + [("Hello", "x", "a@example.com", ["nobody at all"])])
    assert mailqueue_outbox == []


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_what_passes_can_be_built(subject, address, value):
    made = EmailMessage(subject, "x", "a@example.com", [address], headers={"X-Value": value})
    try:
        check_message(made)
    except (ValueError, TypeError):
        return
    mime = made.message()
    assert set(mime.keys()) >= {"Subject", "From", "X-Value"}
