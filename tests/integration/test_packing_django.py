"""Django's messages into the queue, and Django's settings; each in a process of its own."""

import textwrap

import django
import pytest
from support.processes import python

pytest.importorskip("django")

MESSAGES = """
    import re
    from django.conf import settings
    settings.configure()
    import django
    django.setup()
    from email import message_from_string
    from email.charset import Charset, QP
    from email.mime.image import MIMEImage
    from email.mime.text import MIMEText
    from django.core.mail import EmailMessage, EmailMultiAlternatives, EmailAttachment
    from django.utils.safestring import mark_safe
    from django.utils.translation import gettext_lazy
    from mailqueue.envelope import Envelope
    from mailqueue.packing import pack_message
    from mailqueue.unpacking import unpack_message

    FIXED = {"Date": "Sat, 21 Nov 2026 10:00:00 -0000", "Message-ID": "<1@example.com>"}
    BOUNDARY = re.compile(rb"={15}\\d+==")

    def mime_bytes(message):
        seen = {}
        data = message.message().as_bytes()
        return BOUNDARY.sub(lambda m: seen.setdefault(m[0], b"B%d" % len(seen)), data)

    def mail(cls=EmailMultiAlternatives, body="Text\\nFrom me\\n", **kwargs):
        headers = FIXED | kwargs.pop("headers", {})
        return cls("Subject", body, "a@example.com", ["b@example.com"], headers=headers, **kwargs)

    def image():
        part = MIMEImage(b"\\x89PNG" * 40, "png")
        part.add_header("Content-ID", "<logo>")
        return part

    def alternatives(message):
        message.attach_alternative(mark_safe("<p>Gr\\u00fc\\u00dfe"), "text/html")
        return message

    def attached(*attachment):
        message = mail()
        message.attach(*attachment)
        return message

    def encoded(encoding):
        message = mail(body="Gr\\u00fc\\u00dfe\\n" * 3)
        message.encoding = encoding
        return message

    quoted = Charset("utf-8")
    quoted.body_encoding = QP

    class Signed(EmailMessage):
        def message(self):
            built = super().message()
            built["X-Signature"] = "yes"
            return built

    class Redirected(EmailMessage):
        def recipients(self):
            return ["all@example.com"]

    class Tagged(EmailMessage):
        content_subtype = "html"
        tags = ["class"]
"""

CASES = [
    "mail()",
    "mail(EmailMessage)",
    "mail(body=mark_safe('<b>' + 'x' * 1200))",
    "mail(body=gettext_lazy('Hello'))",
    "mail(headers={'X-Count': 3, 'Reply-To': 'c@example.com'}, cc=['J\\u00f6rg <j@example.com>'])",
    "mail(bcc=['c@example.com'], reply_to=['d@example.com', 'e@example.com'])",
    "alternatives(mail())",
    "attached('a.txt', 'Gr\\u00fc\\u00dfe')",
    "attached('\\u00fcber.bin', b'\\x00\\xff')",
    "attached(*EmailAttachment('a.pdf', b'%PDF', 'application/pdf'))",
    "attached(image())",
    "attached(MIMEText('From here\\n'))",
    "attached('in.eml', mail(), 'message/rfc822')",
    "attached('in.eml', message_from_string('Subject: in\\n\\nFrom in\\n'), 'message/rfc822')",
    "attached('in.eml', 'Subject: in\\n\\ntext\\n', 'message/rfc822')",
    "encoded('iso-8859-1')",
    "encoded(quoted)",
    "mail(Signed)",
    "mail(Redirected)",
    "mail(Tagged)",
]


def test_djangos_messages_have_the_same_bytes_after_the_queue() -> None:
    if django.VERSION >= (6,):
        pytest.skip(f"Django {django.__version__} writes mail with the modern API: other bytes")
    check = """
    failed = []
    for case in CASES:
        original = eval(case)
        before = {k: v[:] if isinstance(v, list) else v for k, v in vars(original).items()}
        carried = unpack_message(Envelope.decode(pack_message(original).encode()))
        assert vars(original) == before, case
        assert carried.recipients() == original.recipients(), case
        if mime_bytes(carried) != mime_bytes(original):
            failed += [case, mime_bytes(original).decode("latin-1"), "--- ours:"]
            failed += [mime_bytes(carried).decode("latin-1")]
    assert not failed, "\\n".join(failed)
    assert carried.tags == ["class"]
    print(len(CASES), "the same")
    """
    code = textwrap.dedent(MESSAGES) + f"CASES = {CASES!r}\n" + textwrap.dedent(check)
    assert python(code, {}).stdout == f"{len(CASES)} the same\n"


def test_a_setting_comes_from_code_then_django_then_the_environment() -> None:
    code = """
    from django.conf import settings
    settings.configure(EMAIL_HOST="from.django", MAILQUEUE_BATCH_SIZE=7, EMAIL_HOST_PASSWORD="pw")
    from django.test.utils import override_settings
    from mailqueue import configure
    from mailqueue.conf import get_settings
    from mailqueue.errors import ConfigurationError

    s = get_settings()
    assert (s.EMAIL_HOST, s.MAILQUEUE_BATCH_SIZE) == ("from.django", 7), s
    assert s.MAILQUEUE_QUEUE == "from-environment", s       # Django says nothing of it
    assert s.MAILQUEUE_BATCH_BYTES == 1_048_576, s          # nobody does
    assert s.EMAIL_BACKEND == "mailqueue.backends.queue.EmailBackend", s  # merely inherited
    with override_settings(EMAIL_HOST="overridden", MAILQUEUE_BATCH_SIZE=8):
        assert get_settings().EMAIL_HOST == "overridden"
        assert get_settings().MAILQUEUE_BATCH_SIZE == 8
        configure(EMAIL_HOST="from.code")
        assert get_settings().EMAIL_HOST == "from.code"
    assert get_settings().EMAIL_HOST == "from.code"
    assert get_settings().MAILQUEUE_BATCH_SIZE == 7
    with override_settings(MAILQUEUE_BATCH_SIZE=0):
        try:
            get_settings()
        except ConfigurationError as error:
            assert str(error).startswith("MAILQUEUE_BATCH_SIZE in Django's settings: "), error
        else:
            raise AssertionError("0 was taken")
    with override_settings(EMAIL_BACKEND="a.B"):
        assert get_settings().EMAIL_BACKEND == "a.B"
    assert "pw" not in repr(get_settings())
    print("in order")
    """
    environment = {"MAILQUEUE_QUEUE": "from-environment", "EMAIL_HOST": "from.environment"}
    assert python(textwrap.dedent(code), environment).stdout == "in order\n"


def test_django_that_is_loaded_and_not_configured_does_not_matter() -> None:
    code = "import django.conf; from mailqueue.conf import get_settings; print(get_settings())"
    assert python(code, {}).stdout == "Settings()\n"
