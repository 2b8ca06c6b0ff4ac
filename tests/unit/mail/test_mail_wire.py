from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import pytest

from mailqueue import BadHeaderError
from mailqueue.message import EmailMessage
from mailqueue.wire import check, serialise


def test_lines_end_with_crlf():
    data = serialise(EmailMessage("s", "a\nb\rc\r\nd", to=["t@x.org"]).message())
    assert data.replace(b"\r\n", b"").count(b"\n") == 0
    assert data.endswith(b"\r\n\r\na\r\nb\r\nc\r\nd")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"A: 1\r\nEvil: 2\r\n\r\nx", "Evil"),
        (b"A: 1\r\nA: 1\r\n\r\nx", "twice"),
        (b"A: 1\r\n\r\nx\ny", "CR or LF"),
        (b"A: 1\r\n\r\nx\ry", "CR or LF"),
        (b"A: 1\r\n\r\nx\n.\n", "CR or LF"),
        (b"A: 1\r\n\r\n" + b"x" * 999, "Line 3"),
        (b"A: " + b"x" * 999 + b"\r\n\r\n", "'A: x"),
    ],
)
def test_what_must_not_leave(data, error):
    with pytest.raises(ValueError, match=error):
        check(data, ["A"])


def test_the_longest_line_that_may_leave():
    check(b"A: 1\r\n\r\n" + b"x" * 998 + b"\r\n", ["A"])


def test_blind_copies_must_not_leave():
    message = Message()
    message["bcc"] = "x@x.org"
    with pytest.raises(BadHeaderError, match="bcc"):
        serialise(message)


@pytest.mark.parametrize("value", ["a\r\nEvil: b", "a\x0bEvil: b", "a\u2028Evil: b", "a\n\nb"])
def test_headers_of_parts_are_checked(value):
    part = MIMEText("x")
    part["X-Part"] = value
    with pytest.raises(BadHeaderError, match="X-Part"):
        serialise(MIMEMultipart(_subparts=[part]))


def test_finished_bytes_stay_as_they_are():
    class Signed(Message):
        def as_bytes(self, *args: object, **kwargs: object) -> bytes:
            return b"A:  1\nB: 2\r\n\r\nx\n"

    message = Signed()
    message["A"] = "1"
    message["B"] = "2"
    assert serialise(message) == b"A:  1\r\nB: 2\r\n\r\nx\r\n"
