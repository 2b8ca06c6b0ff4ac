"""The last look at a message before bytes leave the process.

What is checked, and why here: a message may hold parts that the application built itself, and the
standard library's generator has let line breaks through before. So the finished bytes count.

- The header block names exactly the headers that the message has: nothing was smuggled in.
- No header shows blind copies.
- CR and LF come as CRLF only (RFC 5321, section 2.3.8): servers that end lines at one of them
  would see another mail inside this one (SMTP smuggling).
- No line has more than 998 octets (RFC 5322, section 2.1.1); servers break or refuse longer ones.
"""

import re
from email.generator import BytesGenerator
from email.message import Message
from io import BytesIO
from typing import Final

from mailqueue.errors import BadHeaderError
from mailqueue.headers import RFC5322_EMAIL_LINE_LENGTH_LIMIT as LIMIT
from mailqueue.headers import check_header_name, check_header_value
from mailqueue.mime import MIMEMixin

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_BARE: Final = re.compile(rb"\r(?!\n)|(?<!\r)\n")
# Only from where a line begins: tried from each octet, a megabyte would take seconds.
_TOO_LONG: Final = re.compile(rb"(?<![^\r\n])[^\r\n]{%d}" % (LIMIT + 1))
# A fold: a line break that a blank follows, so that the header goes on.
_FOLD: Final = re.compile(r"(?:\r\n|\r|\n)(?=[ \t])")
_HIDDEN: Final = frozenset({"bcc", "resent-bcc"})


def serialise(message: Message) -> bytes:
    """Return the message as it goes over the wire, with CRLF line ends.

    Raises:
        BadHeaderError: A header would break its block, or show blind copies.
        ValueError: A line of the body is longer than 998 octets, or a CR or LF stands alone.
    """
    for part in message.walk():
        for name, value in part.items():
            check_header_name(name)
            check_header_value(name, _FOLD.sub("", str(value)))
    data = _written(message)
    check(data, message.keys())
    return data


def check(data: bytes, names: list[str]) -> None:
    """Check a serialised message against the names of the headers that it shall have.

    Args:
        data: The message with CRLF line ends.
        names: Names of its headers, in their order.

    Raises:
        BadHeaderError: There are other headers, blind copies, or a header line is too long.
        ValueError: A line of the body is longer than 998 octets, or a CR or LF stands alone.
    """
    block, _, _ = data.partition(b"\r\n\r\n")
    found = [
        line.partition(b":")[0].decode("ascii", "replace")
        for line in block.split(b"\r\n")
        if line[:1] not in {b" ", b"\t"}
    ]
    if found != names:
        unexpected = next((name for name in found if name not in names), "a header twice")
        raise BadHeaderError(
            f"The message's header block has more than its headers: {unexpected!r}"
        )
    if hidden := [name for name in names if name.lower() in _HIDDEN]:
        raise BadHeaderError(f"Header {hidden[0]!r} would show the blind copies")
    if bare := _BARE.search(data):
        raise ValueError(
            f"The message has a CR or LF that is not part of a CRLF (at octet {bare.start()})"
        )
    if too_long := _TOO_LONG.search(data):
        number = data.count(b"\n", 0, too_long.start()) + 1
        if too_long.start() < len(block):
            name = block[: too_long.start()].rpartition(b"\r\n")[2] or block[too_long.start() :]
            raise BadHeaderError(
                f"Header lines can't be longer than {LIMIT} octets "
                f"(line {number}: {name[:40].decode('ascii', 'replace')!r})"
            )
        raise ValueError(
            f"Line {number} of the message is longer than {LIMIT} octets (RFC 5322); attach such "
            f"parts as bytes, or let them be quoted-printable"
        )


def _written(message: Message) -> bytes:
    if isinstance(message, MIMEMixin):
        return message.as_bytes(linesep="\r\n")
    if type(message).as_bytes is not Message.as_bytes:
        # It knows better how it is written: finished (perhaps signed) bytes, or another policy.
        return _LINE_END.sub(b"\r\n", message.as_bytes())
    out = BytesIO()
    BytesGenerator(out, mangle_from_=False).flatten(message, linesep="\r\n")
    return out.getvalue()
