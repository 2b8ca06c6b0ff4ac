"""What the demo sends: one mail of each kind, then a mailing of 200."""

import struct
import zlib
from collections.abc import Iterator
from email.mime.image import MIMEImage

from mailqueue.message import EmailMessage, EmailMultiAlternatives

SENDER = "Demo <demo@example.com>"
MAILING_SIZE = 200

MassMail = tuple[str, str, str, list[str]]


def varied() -> Iterator[EmailMessage]:
    """Plain, HTML with a picture, attachments, non-ASCII everywhere, many recipients."""
    yield EmailMessage("Plain text", "Good morning.\n", SENDER, ["ann@example.com"])

    html = EmailMultiAlternatives(
        "HTML with a picture", "A red square.\n", SENDER, ["ann@example.com"]
    )
    html.attach_alternative('<p>A <b>red</b> square: <img src="cid:square"></p>\n', "text/html")
    picture = MIMEImage(_red_square(), "png")
    picture["Content-ID"] = "<square>"
    picture["Content-Disposition"] = 'inline; filename="square.png"'
    html.attach(picture)
    yield html

    attached = EmailMessage("With attachments", "See there.\n", SENDER, ["ann@example.com"])
    attached.attach("figures.csv", "month,mails\nMay,1200\n", "text/csv")
    attached.attach("every-byte.bin", bytes(range(256)) * 64, "application/octet-stream")
    yield attached

    yield EmailMessage(
        "Grüße aus Łódź, 你好",
        "Žluťoučký kůň příliš úpěl ďábelské ódy. 🐎\n",
        "Žofie Černá <zofie@example.com>",
        ["Jürgen Müller <juergen@example.com>"],
    )

    yield EmailMessage(
        "To, Cc, Bcc and Reply-To",
        "Three people get this; two can see it.\n",
        SENDER,
        ["ann@example.com"],
        bcc=["secret@example.com"],
        cc=["carl@example.com"],
        reply_to=["answers@example.com"],
        headers={"List-Unsubscribe": "<https://example.com/unsubscribe>", "X-Campaign": "demo"},
    )


def mailing() -> list[MassMail]:
    """Data for ``send_mass_mail``."""
    return [
        (f"Newsletter for reader {n}", f"Dear reader {n},\n\nthere is news.\n", SENDER,
         [f"reader{n}@example.com"])
        for n in range(1, MAILING_SIZE + 1)
    ]  # fmt: skip


def _red_square(side: int = 16) -> bytes:
    """A small PNG, written by hand: the demo ships no files."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = (b"\0" + b"\xd0\x20\x20" * side) * side
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
