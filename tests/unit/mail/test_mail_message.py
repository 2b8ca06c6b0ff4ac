import copy
import datetime as dt
import email.message
import pickle
import re
import threading
from email.charset import QP, Charset
from email.mime.base import MIMEBase
from email.mime.text import MIMEText
from typing import Any
from unittest import mock

import pytest

from mailqueue import BadHeaderError, configure
from mailqueue.backends.smtp import EmailBackend as SmtpBackend
from mailqueue.message import EmailMessage, EmailMultiAlternatives, SafeMIMEText

FIXED = {"Date": "Thu, 01 Jan 2026 00:00:00 -0000", "Message-ID": "<1@example.com>"}


class Lazy:
    """Text that exists when it is asked for, like a translation."""

    def __init__(self, text):
        self.text = text

    def __str__(self):
        return self.text


def test_order_of_headers():
    message = EmailMessage(
        "s", "b", "f@x.org", ["t@x.org"], cc=["c@x.org"], reply_to=["r@x.org"], headers={"X-A": "1"}
    )
    plain = message.message()
    assert plain.keys() == [
        "Content-Type", "MIME-Version", "Content-Transfer-Encoding", "Subject", "From", "To", "Cc",
        "Reply-To", "Date", "Message-ID", "X-A",
    ]  # fmt: skip
    again = copy.copy(message)
    first = {name: plain[name] for name in ("Date", "Message-ID")}
    again.extra_headers = first | message.extra_headers
    assert again.message().as_bytes() == plain.as_bytes()


def test_headers_win_in_any_letter_case():
    message = EmailMessage(
        to=["t@x.org"], headers={"to": "o@x.org", "FROM": "p@x.org", "date": "d", "message-ID": "i"}
    ).message()
    assert message["To"] == "o@x.org"
    assert message["From"] == "p@x.org"
    for name in ("To", "From", "Date", "Message-ID"):
        assert [key.lower() for key in message].count(name.lower()) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Bcc": "x@x.org"},
        {"resent-bcc": "x@x.org"},
        {"subject": "again"},
        {"Content-Type": "text/html"},
        {"mime-version": "1.0"},
        {"Content-transfer-encoding": "7bit"},
        {"To": "a@x.org", "to": "b@x.org"},
        {"Date": "a", "date": "b"},
    ],
)
def test_blind_copies_and_duplicates_are_refused(headers):
    with pytest.raises(BadHeaderError, match=re.escape(list(headers)[-1])):
        EmailMessage(headers=headers).message()


def test_headers_that_may_be_repeated():
    message = EmailMessage(headers={"X-Tag": "a", "x-tag": "b"}).message()
    assert message.get_all("X-Tag") == ["a", "b"]


def test_bcc_is_in_recipients_only():
    message = EmailMessage(to=("a", ""), cc=["b"], bcc=["c", None])
    assert message.recipients() == ["a", "b", "c"]
    assert "c" not in message.message().values()


def test_to_is_omitted_when_empty():
    assert "To" not in EmailMessage(bcc=["a@x.org"]).message()
    assert EmailMessage(to=["", "a@x.org"]).message()["To"] == "a@x.org"


@pytest.mark.parametrize("field", ["to", "cc", "bcc", "reply_to"])
@pytest.mark.parametrize("value", ["a@x.org", b"a@x.org", Lazy("a@x.org"), 5])
def test_lists_of_addresses_are_lists(field, value):
    text = f'"{field}" argument must be a list or tuple'
    with pytest.raises(TypeError, match=text):
        EmailMessage(**{field: value})
    message = EmailMessage(to=["a@x.org"])
    setattr(message, field, value)
    with pytest.raises(TypeError, match=text):
        message.recipients() if field != "reply_to" else message.message()


def test_lazy_texts_and_bytes():
    message = EmailMultiAlternatives(Lazy("s"), Lazy("b"), Lazy("f@x.org"), [Lazy("t@x.org")])
    message.attach_alternative(b"<p>\xc3\xa9\xff", "text/html")
    built = message.message()
    assert (built["Subject"], built["From"], built["To"]) == ("s", "f@x.org", "t@x.org")
    assert b"<p>\xc3\xa9\xff" in built.as_bytes()
    assert message.body_contains("b") is False
    assert EmailMessage(body=b"\xc3\xa9\xff").message().get_payload(decode=True) == b"\xc3\xa9\xff"
    assert EmailMessage(body=None).body == ""


def test_dates_and_ids():
    date = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    assert EmailMessage(headers={"Date": date}).message()["Date"].startswith("Fri, 02 Jan 2026")
    assert EmailMessage().message()["Date"].endswith(" -0000")
    configure(EMAIL_USE_LOCALTIME=True)
    assert not EmailMessage().message()["Date"].endswith(" -0000")


def test_a_body_of_none_is_empty():
    message = EmailMultiAlternatives(body=None)
    assert message.body == ""
    message.body = None
    assert message.message().get_payload() == ""
    message.attach_alternative("<p>", "text/html")
    assert not message.body_contains("<p>")
    assert len(message.message().get_payload()) == 1


def test_bodies():
    def sent(body, encoding=None):
        message = EmailMessage("s", body, headers=FIXED)
        message.encoding = encoding
        built = message.message()
        return built["Content-Transfer-Encoding"], built.as_bytes().partition(b"\n\n")[2]

    assert sent("plain") == ("7bit", b"plain")
    assert sent("From é\n.\n") == ("8bit", "From é\n.\n".encode())
    assert sent("x" * 998)[0] == "7bit"
    assert sent("x" * 999)[0] == "quoted-printable"
    assert sent("é" * 500)[0] == "quoted-printable"
    assert sent("x\x0b" * 600)[0] == "quoted-printable"
    assert sent("a\0b") == ("quoted-printable", b"a=00b")
    assert sent("x" * 999, "ascii")[0] == "quoted-printable"
    assert sent("é", "iso-8859-1") == ("quoted-printable", b"=E9")
    assert sent("a\udce9b") == ("8bit", b"a\xe9b")
    charset = Charset("utf-8")
    charset.body_encoding = QP
    assert sent("é", charset) == ("quoted-printable", b"=C3=A9")


@pytest.mark.parametrize(
    ("body", "encoding"), [("漢", "iso-8859-1"), ("a", "x-none"), ("\ud800", None)]
)
def test_bodies_that_cannot_be_written(body, encoding):
    message = EmailMessage(body=body)
    message.encoding = encoding
    with pytest.raises(ValueError, match=r"body|encoding"):
        message.message()


def test_structure():
    def structure(part):
        inner = [structure(sub) for sub in part.get_payload()] if part.is_multipart() else []
        return part.get_content_type().partition("/")[2], *inner

    html = ("<p>", "text/html")
    file = ("a.txt", "x", None)
    assert structure(EmailMessage().message()) == ("plain",)
    assert structure(EmailMultiAlternatives(alternatives=[html]).message()) == (
        "alternative", ("html",),
    )  # fmt: skip
    assert structure(EmailMessage(attachments=[file]).message()) == ("mixed", ("plain",))
    assert structure(
        EmailMultiAlternatives(body="b", alternatives=[html], attachments=[file]).message()
    ) == ("mixed", ("alternative", ("plain",), ("html",)), ("plain",))
    message = EmailMultiAlternatives(body="b", alternatives=[html], attachments=[file])
    message.mixed_subtype, message.alternative_subtype = "related", "other"
    message.content_subtype = "markdown"
    assert structure(message.message()) == (
        "related",
        ("other", ("markdown",), ("html",)),
        ("plain",),
    )


def test_attaching():
    message = EmailMessage()
    message.attach("a.txt", b"\xc3\xa9")
    message.attach("b.txt", b"\xff", "text/plain")
    message.attach("c", "x")
    message.attach(None, b"x", "image/png")
    part = MIMEBase("a", "b")
    message.attach(part)
    assert message.attachments == [
        ("a.txt", "é", "text/plain"),
        ("b.txt", b"\xff", "application/octet-stream"),
        ("c", "x", "application/octet-stream"),
        (None, b"x", "image/png"),
        part,
    ]
    with pytest.raises(ValueError, match=r"^content must be provided\.$"):
        message.attach("a.txt")
    with pytest.raises(ValueError, match="MIMEBase instance is provided"):
        message.attach(part, "x")
    with pytest.raises(ValueError, match="Both content and mimetype must be provided"):
        EmailMultiAlternatives().attach_alternative(None, "text/html")


def test_attachments_as_sent():
    modern = email.message.EmailMessage()
    modern.set_content("modern")
    modern.add_header("Content-Disposition", "attachment", filename="é.txt")
    built = EmailMessage(
        attachments=[
            ("é.bin", "é"),
            ("i.ics", "BEGIN", "text/calendar; method=REQUEST; charset=x"),
            modern,
            ("m.eml", EmailMessage("inner", headers=FIXED), "message/rfc822"),
            ("m.eml", modern, "message/rfc822"),
            ("m.eml", "Subject: str\n\nx", "message/rfc822"),
            ("m.eml", b"Subject: bytes\n\n\xff", "message/rfc822"),
        ]
    ).message()
    parts: Any = built.get_payload()
    binary, calendar, other, *messages = parts
    assert binary.get_payload(decode=True) == "é".encode()
    assert binary["Content-Disposition"] == "attachment; filename*=utf-8''%C3%A9.bin"
    assert calendar["Content-Type"] == 'text/calendar; method="REQUEST"; charset="utf-8"'
    assert other.get_filename() == "é.txt"
    assert [part.get_payload(0)["Subject"] for part in messages] == ["inner", None, "str", "bytes"]
    assert all(part["Content-Transfer-Encoding"] is None for part in messages)
    assert b"\n\xff" in built.as_bytes()


def test_plain_tuples_added_later():
    message = EmailMultiAlternatives(body="b")
    message.attachments.append(("a.txt", "x"))
    message.alternatives.append(("<p>", "text/html"))
    assert len(message.message().get_payload()) == 2


def test_copies_and_pickles():
    connection = SmtpBackend(password="secret")
    connection.connection = threading.Lock()  # something that neither copies nor pickles
    message = EmailMultiAlternatives("s", "b", "f@x.org", ["t@x.org"], connection=connection)
    message.attach("a.txt", b"x", None)
    message.attach(MIMEBase("a", "b"))
    deep = copy.deepcopy(message)
    deep.to.append("u@x.org")
    deep.attachments.pop()
    assert (message.to, len(message.attachments)) == (["t@x.org"], 2)
    assert deep.connection is copy.copy(message).connection is connection
    pickled = pickle.dumps(message)
    assert b"secret" not in pickled
    assert pickle.loads(pickled).connection is None
    assert pickle.loads(pickled).attachments[0] == message.attachments[0]


def test_messages_can_be_built_again_and_changed():
    message = EmailMessage("a", "b", headers=FIXED)
    assert message.message().as_bytes() == message.message().as_bytes()
    message.subject = "c"
    assert message.message()["Subject"] == "c"


def test_text_is_encoded_once():
    with mock.patch.object(MIMEText, "set_payload", autospec=True) as set_payload:
        SafeMIMEText("é", "plain", "utf-8")
    assert set_payload.call_count == 1


def test_as_string_shows_text():
    assert EmailMessage("s", "é", headers=FIXED).message().as_string().endswith("\n\né")
