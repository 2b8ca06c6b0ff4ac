"""Run by ``test_mail_django_parity.py`` where Django is configured: same input, same bytes."""

import random
from email.charset import QP, Charset
from email.mime.image import MIMEImage

import django
from django.conf import settings

settings.configure()

from django.core import mail  # noqa: E402
from hypothesis import HealthCheck, given  # noqa: E402
from hypothesis import settings as bounds  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

import mailqueue  # noqa: E402

TEXTS = st.lists(
    st.sampled_from(["a", "é", "漢字", "long " * 30, "x" * 90, "a,b", '"q"', "=?utf-8?q?x?="])
).map(" ".join)
BODIES = st.tuples(TEXTS, st.sampled_from(["", "\nl2\r\nl3\n", "\nFrom x", "é" * 600])).map("".join)
ADDRESSES = st.lists(
    st.sampled_from(["a@b.org", "Ann <a@b.org>", "É <é@é.org>", '"B, A" <a@b.org>', "x@y_z.org"]),
    max_size=4,
)
FIXED = {"Date": "Sat, 21 Nov 2026 10:00:00 -0000", "Message-ID": "<1@example.com>"}
FILES = st.sampled_from(
    [
        ("a.txt", "é", None),
        ("é.txt", b"text \xc3\xa9", None),
        ("b.bin", b"\x00\xff", None),
        ("c.txt", b"\xff", "text/plain"),
        (None, b"x", "image/png"),
        ("d.ics", "x", "text/calendar; method=REQUEST"),
        ("e.eml", "Subject: x\n\nhello\n", "message/rfc822"),
    ]
)


def image():
    part = MIMEImage(b"\x89PNG", "png")
    part["Content-ID"] = "<picture>"
    part["Content-Disposition"] = 'inline; filename="p.png"'
    return part


PARTS = st.builds(image)
#: A charset of the caller's own: UTF-8, always quoted-printable.
QUOTED = Charset("utf-8")
QUOTED.body_encoding = QP


def written(api, fields, alternatives, encoding):
    message = api.EmailMultiAlternatives(**fields)
    for content in alternatives:
        message.attach_alternative(content, "text/html")
    message.encoding = encoding
    random.seed(7)
    return message.message().as_bytes()


@bounds(
    max_examples=300,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    st.fixed_dictionaries(
        {
            "subject": TEXTS,
            "body": BODIES,
            "from_email": st.just("Ünal <u@example.com>"),
            "to": ADDRESSES,
            "cc": ADDRESSES,
            "bcc": ADDRESSES,
            "reply_to": ADDRESSES,
            "attachments": st.lists(FILES | PARTS, max_size=3),
            "headers": TEXTS.map(lambda text: FIXED | {"X-A": text}),
        }
    ),
    st.lists(BODIES, max_size=2),
    st.sampled_from([None, "utf-8", "iso-8859-1", QUOTED]),
)
def same_bytes(fields, alternatives, encoding):
    try:
        theirs = written(mail, fields, alternatives, encoding)
    except UnicodeEncodeError:
        theirs = None
    try:
        ours = written(mailqueue, fields, alternatives, encoding)
    except ValueError:
        ours = None
    # What Django cannot write in the charset, we cannot either.
    assert ours == theirs


if django.VERSION >= (6, 0):
    print("skipped: Django 6 writes messages with the modern API, so bytes differ")  # noqa: T201
else:
    same_bytes()
