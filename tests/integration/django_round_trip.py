"""Run by ``test_conversion.py`` in a process where Django is configured."""

import random

from django.conf import settings

settings.configure(EMAIL_BACKEND="mailqueue.backends.queue.EmailBackend")

from django.core import mail  # noqa: E402
from django.core.mail.backends.locmem import EmailBackend  # noqa: E402
from support.clerks import deliver  # noqa: E402

import mailqueue  # noqa: E402
from mailqueue.conf import get_settings  # noqa: E402
from mailqueue.conversion import from_django, is_for_django  # noqa: E402
from mailqueue.envelope import Envelope  # noqa: E402
from mailqueue.message import EmailMessage  # noqa: E402
from mailqueue.packing import pack_message  # noqa: E402
from mailqueue.testing import capturing  # noqa: E402


class Letter(mail.EmailMultiAlternatives):
    """A subclass that adds no behaviour, as Anymail's message does."""


class Signed(mail.EmailMessage):
    """A subclass that builds its own MIME."""

    def message(self, **options):
        built = super().message(**options)
        built["X-Signature"] = "yes"
        return built


def bytes_of(message) -> bytes:
    random.seed(7)
    return message.message().as_bytes()


def made() -> list:
    letter = Letter("Grüße", "Text", "a@example.com", ["b@example.com"], bcc=["c@example.com"])
    letter.attach_alternative("<p>x</p>", "text/html")
    letter.attach("ü.bin", b"\x00\x01", "application/octet-stream")
    letter.tags = ["welcome"]
    letter.merge_data = {"b@example.com": {"name": "Bob"}}
    signed = Signed("Signed", "Text", "a@example.com", ["b@example.com"], bcc=["c@example.com"])
    for message in (letter, signed):
        message.extra_headers = {"Date": "Sat, 21 Nov 2026 10:00:00 -0000", "Message-ID": "<1@x>"}
    return [letter, signed]


messages = made()
envelopes = [Envelope.decode(pack_message(message).encode()) for message in messages]
backend = EmailBackend()
assert is_for_django(backend)
mail.outbox = []
outcomes = [judgement.status for judgement in deliver(envelopes, backend)]
assert outcomes == ["sent", "sent"], outcomes
for sent, back in zip(messages, mail.outbox, strict=True):
    assert isinstance(back, mail.EmailMessage), type(back)
    assert back.recipients() == sent.recipients()
    assert back.subject == sent.subject
    assert bytes_of(back) == bytes_of(sent)
assert mail.outbox[0].tags == ["welcome"]
assert mail.outbox[0].merge_data == {"b@example.com": {"name": "Bob"}}
assert isinstance(mail.outbox[0], mail.EmailMultiAlternatives)
assert b"X-Signature: yes" in bytes_of(mail.outbox[1])

ours = from_django(messages[0])
assert isinstance(ours, EmailMessage)
assert vars(ours)["tags"] == ["welcome"]

# Django's own helpers go through the queue.
with capturing() as outbox:
    assert mail.send_mail("Hello", "x", "a@example.com", ["b@example.com"]) == 1
    assert mail.send_mass_mail([("Hi", "x", "a@example.com", ["b@example.com"])] * 3) == 3
assert [message.subject for message in outbox] == ["Hello", "Hi", "Hi", "Hi"]

# Django's test runner assigns its locmem backend; that is ours for us, and one outbox.
settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
assert get_settings().EMAIL_BACKEND == "mailqueue.backends.locmem.EmailBackend"
mail.outbox = []
mail.send_mail("Django's", "x", "a@example.com", ["b@example.com"])
mailqueue.send_mail("ours", "x", "a@example.com", ["b@example.com"])
assert [message.subject for message in mail.outbox] == ["Django's", "ours"]
assert vars(mail)["outbox"] is getattr(mailqueue, "outbox")  # noqa: B009 - no type checker sees it
settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
assert get_settings().EMAIL_BACKEND == "mailqueue.backends.smtp.EmailBackend"
