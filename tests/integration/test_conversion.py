"""Mail of the other two classes called EmailMessage, through the queue and back."""

import email.message
from pathlib import Path

import pytest
from support.processes import python

from mailqueue import enqueue
from mailqueue.conversion import from_standard


@pytest.fixture
def standard():
    message = email.message.EmailMessage()
    message["Subject"] = "Grüße"
    message["From"] = "Ann <ann@example.com>"
    message["To"] = "Bob <bob@example.com>, carl@example.com"
    message["Bcc"] = "secret@example.com"
    message.set_content("Plain, zażółć\n")
    message.add_alternative("<p>HTML</p>\n", subtype="html")
    message.add_attachment(b"\x00\x01", maintype="application", subtype="x", filename="ü.bin")
    return message


def test_a_standard_message_keeps_its_bytes_recipients_and_secrets(standard, mailqueue_outbox):
    before = standard.as_bytes()
    (handle,) = enqueue(standard)
    (message,) = mailqueue_outbox
    assert message.recipients() == ["bob@example.com", "carl@example.com", "secret@example.com"]
    assert message.from_email == "ann@example.com"
    mime = message.message()
    assert b"secret" not in mime.as_bytes()
    assert mime["Message-ID"] == handle.message_id
    assert standard.as_bytes() == before
    parsed = email.message_from_bytes(mime.as_bytes(), policy=email.policy.default)
    plain = parsed.get_body(("plain",))
    assert plain is not None
    assert plain.get_content() == "Plain, zażółć\n"
    assert [part.get_filename() for part in parsed.iter_attachments()] == ["ü.bin"]


def test_a_standard_message_without_sender_is_refused(mailqueue_outbox):
    with pytest.raises(ValueError, match="neither From nor Sender"):
        from_standard(email.message.EmailMessage())


DJANGO = Path(__file__).with_name("django_round_trip.py")


def test_django_messages_come_back_as_djangos_for_a_django_backend():
    """In a process of its own: Django's settings are for a whole process."""
    python(DJANGO.read_text("utf-8"), {"PYTHONPATH": str(DJANGO.parents[1])})
