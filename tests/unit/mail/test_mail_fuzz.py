"""Whatever text goes into a field: it is refused by name, or comes out as it was meant."""

import re
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage as ModernMessage
from email.mime.base import MIMEBase
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, seed, settings
from hypothesis import strategies as st

from mailqueue import mime
from mailqueue.message import EmailMessage, EmailMultiAlternatives
from mailqueue.wire import serialise

FIXED = {"Date": "Thu, 1 Jan 2026 00:00:00 -0000", "Message-ID": "<1@example.com>"}
ALWAYS = ["Content-Type", "MIME-Version", "Subject", "From", "To", "Date", "Message-ID"]
CTE = "Content-Transfer-Encoding"

nasty = st.sampled_from(
    [
        "\r",
        "\n",
        "\r\n",
        "\r\n ",
        "\r\nBcc: evil@example.com",
        "\n\n",
        "\t",
        "\0",
        "\x0b",
        "\x0c",
        "\x1c",
        "\x1d",
        "\x1e",
        "\x7f",
        "\x85",
        "\u2028",
        "\u2029",
        "\ud800",
        "\udce9",
        "\ufe50",
        "\uff20",
        "é",
        "漢字",
        "😀",
        '"',
        "\\",
        "(",
        ")",
        "<",
        ">",
        "@",
        ",",
        ";",
        ":",
        "=",
        "=?utf-8?q?=0AX?=",
        "=?",
        "?=",
        " ",
        "   ",
        ".",
        "x" * 100,
        "é" * 100,
        "x" * 1001,
        " " * 1001,
        "ann@example.com",
        "From ",
        "--",
    ]
)
text = st.lists(st.one_of(nasty, st.text(max_size=8)), max_size=6).map("".join)
encodings = st.sampled_from([None, "utf-8", "ascii", "iso-8859-1", "iso-2022-jp", "koi8-r"])


def fuzzed(function: Any) -> Any:
    examples = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    return seed(20260101)(examples(function))


def built(message: EmailMessage, field: str, extra: tuple[str, ...] = ()) -> Any:
    """The parsed message, or None where it was refused in a way that names the field."""
    try:
        data = serialise(message.message())
    except (ValueError, TypeError) as error:
        if not re.search(field, str(error), re.IGNORECASE):
            pytest.fail(f"{error!r} does not name {field}")
        return None
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", data)
    assert max(map(len, data.split(b"\r\n"))) <= 998
    parsed = message_from_bytes(data)
    assert not parsed.defects
    names = [name for name in parsed if name != CTE]
    assert {name.lower() for name in names} == {name.lower() for name in [*ALWAYS, *extra]}
    assert len(names) == len({name.lower() for name in names})
    return parsed


def mail(**given: Any) -> EmailMultiAlternatives:
    headers = given.pop("headers", {})
    fields = {"subject": "s", "body": "b", "from_email": "f@x.org", "to": ["t@x.org"], **given}
    return EmailMultiAlternatives(**fields, headers=FIXED | headers)


def unfolded(value: Any) -> str:
    return re.sub(r"\r\n(?=[ \t])", "", str(value))


def read(value: Any) -> str:
    return str(make_header(decode_header(unfolded(value))))


@fuzzed
@given(text, encodings)
@example("x" * 2001, None)
@example("x" * 1001 + "\t0", None)
@example("a\x0bEvil: yes", None)
@example(" " * 2001 + "x", None)
def test_fuzzed_subject(value, encoding):
    message = mail(subject=value)
    message.encoding = encoding
    parsed = built(message, "Subject")
    if parsed is not None and "=?" not in value:
        assert read(parsed["Subject"]).strip() == value.strip()


@fuzzed
@given(text, encodings)
def test_fuzzed_header_value(value, encoding):
    message = mail(headers={"X-Fuzz": value})
    message.encoding = encoding
    parsed = built(message, "X-Fuzz", ("X-Fuzz",))
    if parsed is not None and "=?" not in value:
        assert read(parsed["X-Fuzz"]).strip() == value.strip()


@fuzzed
@given(text)
@example("X: y\r\nEvil")
@example("")
def test_fuzzed_header_name(name):
    parsed = built(mail(headers={name: "v"}), "header", (name,))
    if parsed is not None:
        assert re.fullmatch(r"[!-9;-~]+", name)


@fuzzed
@given(st.sampled_from(["from_email", "to", "cc", "reply_to"]), text, encodings)
@example("to", "t@example.com\ufe50evil\uff20other.com", None)
@example("to", "é <t@example.com\ufe50evil\uff20other.com>", None)
def test_fuzzed_address(field, value, encoding):
    message = mail()
    setattr(message, field, value if field == "from_email" else [value])
    message.encoding = encoding
    name = {"from_email": "From", "to": "To", "cc": "Cc", "reply_to": "Reply-To"}[field]
    try:
        data = serialise(message.message())
    except ValueError as error:
        if not re.search(f"address|{name}", str(error), re.IGNORECASE):
            pytest.fail(f"{error!r} does not name {name}")
        return
    parsed = message_from_bytes(data)
    assert {key.lower() for key in parsed} <= {
        key.lower() for key in [*ALWAYS, CTE, "Cc", "Reply-To"]
    }
    assert len(parsed.get_all(name) or []) <= 1
    if field == "to" and not value.isascii():
        # A look-alike must never have become a separator.
        assert str(parsed["To"] or "").count(",") <= value.count(",")


@fuzzed
@given(text, encodings)
@example("x" * 1200, "ascii")
@example("é\x0b" * 600, "utf-8")
@example("a\0b", None)
def test_fuzzed_body(value, encoding):
    message = mail(body=value)
    message.encoding = encoding
    parsed = built(message, "body")
    if parsed is not None:
        charset = str(encoding or "utf-8")
        meant = value.encode(charset, "surrogateescape").decode(charset, "surrogateescape")
        assert lines(parsed.get_payload(decode=True).decode(charset, "surrogateescape")) == lines(
            meant
        )


def lines(value: str) -> list[str]:
    return re.sub(r"\r\n|\r|\n", "\n", value).rstrip("\n").split("\n")


@fuzzed
@given(text, text)
def test_fuzzed_alternative(content, mimetype):
    for kind in ("text/html", mimetype):
        message = mail(alternatives=[(content, kind)])
        parsed = built(message, "alternative|subtype")
        if parsed is not None:
            assert len(parsed.get_payload()) == 2


@fuzzed
@given(text, st.sampled_from([b"\x89PNG", "text é"]), st.sampled_from([None, "text/plain"]))
@example("a\r\nX: y.txt", b"x", None)
@example("é" * 400, b"x", None)
def test_fuzzed_file_name(filename, content, mimetype):
    parsed = built(
        mail(attachments=[(filename, content, mimetype)]), "Content-Disposition|attachment"
    )
    if parsed is not None:
        part = parsed.get_payload()[1]
        assert set(part.keys()) <= {"Content-Type", "MIME-Version", CTE, "Content-Disposition"}
        # The standard library unquotes twice when it reads.
        if filename and "=?" not in filename and filename.strip()[:1] not in {'"', "<"}:
            assert unfolded(part.get_filename()).strip() == filename.strip()


@fuzzed
@given(text)
@example("text/plain\r\nX: y")
@example("text/calendar; method=REQUEST")
@example("x" * 1001 + "/x")
def test_fuzzed_media_type(mimetype):
    for kind in (mimetype, f"text/{mimetype}", f"text/x; y={mimetype}"):
        parsed = built(mail(attachments=[("a", b"x", kind)]), "attachment")
        if parsed is not None:
            part = parsed.get_payload()[1]
            assert set(part.keys()) <= {"Content-Type", "MIME-Version", CTE, "Content-Disposition"}


@fuzzed
@given(text, st.sampled_from(["content_subtype", "mixed_subtype", "alternative_subtype"]))
def test_fuzzed_subtypes(value, field):
    message = mail(
        attachments=[("a", b"x", None)] if field == "mixed_subtype" else None,
        alternatives=[("a", "text/html")] if field == "alternative_subtype" else None,
    )
    setattr(message, field, value)
    built(message, "subtype")


@fuzzed
@given(text)
@example("utf-8\r\nX: y")
@example("no-such-charset")
@example("idna")
@example("base64")
@example("utf-16")
@example("x" * 1001)
@example("utf-7")
@example("cp037")
def test_fuzzed_encoding(value):
    for body in ("plain", "é" * 10):
        message = mail(body=body, subject=body)
        message.encoding = value
        built(message, "encod|charset|codec")


@fuzzed
@given(st.one_of(text, st.binary(max_size=300)))
@example("Subject: a\x0bEvil: b\n\nbody")
@example(b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\nfoo")
@example(b"Content-Transfer-Encoding: 8bit\n\n\xff")
def test_fuzzed_embedded_message(content):
    built(
        mail(attachments=[("m.eml", content, "message/rfc822")]), "attachment|header|line|message"
    )


@pytest.mark.parametrize("kind", ["legacy", "modern"])
def test_part_of_the_application_cannot_smuggle(kind):
    part: Any
    if kind == "legacy":
        part = MIMEBase("a", "b")
        part["X-Evil"] = "a\r\n\r\nFrom: evil"
        part.set_payload("x")
    else:
        part = ModernMessage(policy=policy.default)
        part.set_content("fine")
        part.add_header("X-Fine", "é")
    message = mail(attachments=[part])
    if kind == "legacy":
        with pytest.raises(ValueError, match="X-Evil"):
            serialise(message.message())
    else:
        assert b"X-Fine: =?utf-8?" in serialise(message.message())


def test_charset_registry_stays_as_it_is():
    from email.charset import Charset

    mail(body="é" * 600).message()
    assert Charset("utf-8").body_encoding != mime.utf8_charset.body_encoding
