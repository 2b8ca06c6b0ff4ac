import datetime as dt
from email.charset import QP, Charset
from typing import Any

import pytest

from mailqueue import BadHeaderError, configure
from mailqueue.headers import check_subtype, forbid_multi_line_headers, split_media_type

FORBIDDEN = [
    *[chr(code) for code in range(0x20) if chr(code) not in "\t\r\n"],
    "\x7f",
    "\x85",
    "\u2028",
    "\u2029",
]


@pytest.mark.parametrize("char", FORBIDDEN)
@pytest.mark.parametrize("name", ["Subject", "To", "X-Any", "Message-ID"])
def test_control_characters_are_refused_with_the_header_named(name, char):
    for value in (f"a{char}b", f"é{char}b", char):
        with pytest.raises(BadHeaderError, match=name):
            forbid_multi_line_headers(name, value, "utf-8")


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\r\n b", "\n"])
def test_newlines_are_refused_in_djangos_words(value):
    with pytest.raises(BadHeaderError) as caught:
        forbid_multi_line_headers("X-Any", value, "utf-8")
    assert str(caught.value) == (
        f"Header values can't contain newlines (got {value!r} for header 'X-Any')"
    )
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "X\r\nEvil", "é", "X\0", "X\t", "X\x0b"])
def test_names_are_field_names(name):
    with pytest.raises(BadHeaderError, match="Header names"):
        forbid_multi_line_headers(name, "v", "utf-8")


@pytest.mark.parametrize(
    ("name", "value", "encoding", "result"),
    [
        ("X-Any", "plain\ttab", None, "plain\ttab"),
        ("X-Any", 5, None, "5"),
        ("X-Any", "é x", None, "=?utf-8?q?=C3=A9_x?="),
        ("X-Any", "é x", "iso-8859-1", "=?iso-8859-1?q?=E9_x?="),
        ("Subject", "é", "ascii", "=?utf-8?b?w6k=?="),
        ("Subject", "x" * 80 + " y", None, "x" * 80 + "\n y"),
        ("To", "a@b.org, É <c@É.org>", None, "a@b.org, =?utf-8?b?w4k=?= <c@xn--9ca.org>"),
        ("To", '"É, F" <a@b.org>', None, "=?utf-8?b?w4ksIEY=?= <a@b.org>"),
    ],
)  # fmt: skip
def test_encoding(name, value, encoding, result):
    assert forbid_multi_line_headers(name, value, encoding) == (name, result)


def test_the_default_charset_is_a_setting():
    configure(DEFAULT_CHARSET="iso-8859-1")
    assert forbid_multi_line_headers("Subject", "é", None)[1] == "=?iso-8859-1?q?=E9?="


def test_a_charset_of_ones_own():
    charset: Any = Charset("utf-8")
    charset.header_encoding = QP
    assert forbid_multi_line_headers("Subject", "é", charset)[1] == "=?utf-8?q?=C3=A9?="
    charset.header_encoding = None
    assert forbid_multi_line_headers("Subject", "é", charset)[1] == "=?utf-8?b?w6k=?="


@pytest.mark.parametrize("encoding", ["iso-8859-1", "no-such-charset"])
def test_what_cannot_be_encoded_is_refused_by_name(encoding):
    with pytest.raises(BadHeaderError, match="'Subject' can't be encoded"):
        forbid_multi_line_headers("Subject", "漢", encoding)


def test_dates():
    date = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    assert forbid_multi_line_headers("Date", date, None)[1] == "Fri, 02 Jan 2026 03:04:05 +0000"
    naive = date.replace(tzinfo=None)
    assert forbid_multi_line_headers("date", naive, None)[1] == "Fri, 02 Jan 2026 03:04:05 -0000"


def test_lines_that_cannot_be_folded():
    for name in ("X-Any", "To", "References"):
        with pytest.raises(BadHeaderError, match=f"998.*{name}"):
            forbid_multi_line_headers(name, "x" * 1000, None)
    _, subject = forbid_multi_line_headers("Subject", "x" * 2000, None)
    assert max(map(len, subject.splitlines())) < 80
    assert forbid_multi_line_headers("X-Any", "word " * 1000, None)[1] == "word " * 1000


@pytest.mark.parametrize(
    "mimetype",
    [
        "text",
        "text/",
        "/plain",
        "te xt/plain",
        "text/plain\r\nX: y",
        "text/é",
        "a/b; c",
        "a/b;c=\0",
    ],
)
def test_bad_media_types(mimetype):
    with pytest.raises(BadHeaderError, match="attachment 1"):
        split_media_type("attachment 1", mimetype)


def test_media_types():
    assert split_media_type("", "text/html") == ("text", "html")
    assert split_media_type("", 'a/b; c=d; e="f g"') == ("a", 'b; c=d; e="f g"')
    with pytest.raises(BadHeaderError, match="too long"):
        check_subtype("subtype", "x" * 900)
