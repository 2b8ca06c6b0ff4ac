"""Was a mail received byte for byte as it was sent?

Three things are made up anew whenever a message is built, and are therefore set equal first: Date
and Message-ID (which the queue fixes once for all attempts) and the MIME boundaries.
"""

import re
from typing import Final

_MADE_UP: Final = re.compile(rb"^(Date|Message-ID): [^\r\n]*\r\n", re.MULTILINE)
_BOUNDARY: Final = re.compile(rb'boundary="([^"]+)"')


def same_bytes(sent: bytes, received: bytes) -> bool:
    """True when both messages, in wire format, differ in what is made up only."""
    return comparable(sent) == comparable(received)


def comparable(message: bytes) -> bytes:
    """The message without what differs from one building to the next."""
    head, separator, body = message.partition(b"\r\n\r\n")
    text = _MADE_UP.sub(b"", head + b"\r\n") + separator + body
    for number, boundary in enumerate(_BOUNDARY.findall(text)):
        text = text.replace(boundary, b"boundary-%d" % number)
    return text
