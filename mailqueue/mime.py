"""MIME parts: checked headers, chosen transfer encodings, the legacy generator.

Transfer encodings of text:

- utf-8 is 7bit or 8bit, as it is; readable on the wire and small.
- A charset that the standard library sends as quoted-printable or Base64 is sent so.
- Quoted-printable takes over from 7bit and 8bit where these are not allowed: a line of more than
  998 octets, or a NUL (RFC 2045, sections 2.7 and 2.8).

The library's registry of charsets is process-wide and stays as it is: only copies are changed.
"""

import base64
import copy
import re
from email import charset as charsets
from email import message_from_bytes, policy
from email.charset import Charset
from email.generator import BytesGenerator, Generator
from email.message import EmailMessage as ModernMessage
from email.message import Message, MIMEPart
from email.mime.base import MIMEBase
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from io import BytesIO, StringIO
from typing import Any, Final

from mailqueue.conf import get_settings
from mailqueue.errors import BadHeaderError
from mailqueue.headers import (
    RFC5322_EMAIL_LINE_LENGTH_LIMIT,
    check_charset,
    check_header_value,
    check_subtype,
    forbid_multi_line_headers,
    split_media_type,
    without_charset,
)

utf8_charset: Final = Charset("utf-8")
utf8_charset.body_encoding = None  # type: ignore[assignment] # the library's word for 7bit or 8bit
utf8_charset_qp: Final = Charset("utf-8")
utf8_charset_qp.body_encoding = charsets.QP

_LONG_LINE: Final = re.compile(rb"[^\r\n]{%d}" % (RFC5322_EMAIL_LINE_LENGTH_LIMIT + 1))


class MIMEMixin(Message):
    """How our parts are written: by the legacy generator, without ``>From`` mangling."""

    def as_string(  # type: ignore[override] # Django's signature
        self, unixfrom: bool = False, linesep: str = "\n"
    ) -> str:
        """Return the part as str, with 8bit text decoded."""
        out = StringIO()
        Generator(out, mangle_from_=False).flatten(self, unixfrom=unixfrom, linesep=linesep)
        return out.getvalue()

    def as_bytes(  # type: ignore[override] # Django's signature
        self, unixfrom: bool = False, linesep: str = "\n"
    ) -> bytes:
        """Return the part as bytes, each line ended by ``linesep``."""
        out = BytesIO()
        BytesGenerator(out, mangle_from_=False).flatten(self, unixfrom=unixfrom, linesep=linesep)
        return out.getvalue()


class SafeMIMEMessage(MIMEMixin, MIMEMessage):
    """A message inside a message (message/rfc822)."""

    def __setitem__(self, name: str, val: Any) -> None:
        # RFC 2046, section 5.2.1: only ASCII in the headers of the part itself.
        super().__setitem__(*forbid_multi_line_headers(name, val, "ascii"))


class SafeMIMEText(MIMEMixin, MIMEText):
    """A text part.

    Args:
        _text: The text. Surrogate escapes stand for the bytes that they came from.
        _subtype: ``plain``, ``html`` …
        _charset: A charset's name or an ``email.charset.Charset`` of one's own, which is honoured.
            None means ``DEFAULT_CHARSET``.

    Raises:
        BadHeaderError: The subtype or the charset's name would break the header.
        ValueError: The text cannot be written in the charset, or there is no such charset.
    """

    def __init__(
        self, _text: str, _subtype: str = "plain", _charset: str | Charset | None = None
    ) -> None:
        charset = _charset or get_settings().DEFAULT_CHARSET
        check_charset("encoding", str(charset))
        self.encoding: str | Charset = charset
        subtype = without_charset(check_subtype("subtype", _subtype))
        # The library documents a str; it hands the object on to set_payload() untouched.
        super().__init__(_text, _subtype=subtype, _charset=charset)  # type: ignore[arg-type]

    def __setitem__(self, name: str, val: Any) -> None:
        super().__setitem__(*forbid_multi_line_headers(name, val, self.encoding))

    def set_payload(self, payload: Any, charset: Any = None) -> None:
        """Set the text, with the transfer encoding that charset and line lengths call for."""
        if isinstance(payload, str) and charset:
            output = charset if isinstance(charset, Charset) else _charset_of(charset)
            # As bytes: given a str, some Pythons refuse surrogate escapes and others don't.
            payload = _encode_text(payload, output.output_charset or "ascii")
            charset = _sendable(output, payload)
        MIMEText.set_payload(self, payload, charset=charset)


class SafeMIMEMultipart(MIMEMixin, MIMEMultipart):
    """A container of parts."""

    def __init__(
        self,
        _subtype: str = "mixed",
        boundary: str | None = None,
        _subparts: Any = None,
        encoding: str | Charset | None = None,
        **_params: Any,
    ) -> None:
        self.encoding = encoding
        subtype = check_subtype("multipart subtype", _subtype)
        super().__init__(subtype, boundary, _subparts, **_params)

    def __setitem__(self, name: str, val: Any) -> None:
        super().__setitem__(*forbid_multi_line_headers(name, val, self.encoding))


def make_part(
    what: str, content: Any, mimetype: Any, encoding: str | Charset
) -> SafeMIMEText | SafeMIMEMessage | MIMEBase:
    """Build the part for an attachment or alternative.

    Args:
        what: The field's name, for errors.
        content: str, bytes, or for message/rfc822 a message.
        mimetype: Its media type.
        encoding: Charset for text.

    Raises:
        BadHeaderError: The media type would break the header.
        ValueError: The text cannot be written in the charset.
        TypeError: The content is of none of these kinds.
    """
    maintype, subtype = split_media_type(f"{what}: mimetype", mimetype)
    if maintype == "text" and not isinstance(content, Message):
        return SafeMIMEText(as_text(content), subtype, encoding)
    if (maintype, subtype) == ("message", "rfc822"):
        return SafeMIMEMessage(_as_message(what, content), subtype)
    part = MIMEBase(maintype, subtype)
    part.set_payload(base64.encodebytes(_as_bytes(what, content)).decode("ascii"))
    part["Content-Transfer-Encoding"] = "base64"
    return part


def name_attachment(part: Message, filename: Any) -> None:
    """Mark a part as attachment with this file name (RFC 2183; RFC 2231 where it is not ASCII).

    Raises:
        BadHeaderError: The file name would break the header.
    """
    filename = str(filename)
    header = "Content-Disposition"
    check_header_value(header, filename)
    try:
        value: Any = filename if filename.isascii() else ("utf-8", "", filename)
        part.add_header(header, "attachment", filename=value)
        # Parts that are not ours don't check what is set; the length shows only in the whole.
        forbid_multi_line_headers(header, part[header], "ascii")
    except UnicodeError as error:
        raise BadHeaderError(f"The file name for {header!r} is no text: {error}") from error


def as_text(content: Any) -> str:
    """Return text for a text part; bytes are taken as UTF-8, other bytes survive as they are.

    None, which somebody may assign to a body, is no text.
    """
    if content is None:
        return ""
    if isinstance(content, bytes | bytearray | memoryview):
        return bytes(content).decode("utf-8", "surrogateescape")
    return str(content)


def legacy_part(part: Message | MIMEPart) -> Message:
    """Return a part as the legacy generator wants it.

    Parts under one of the newer policies hold decoded headers, of which the legacy generator would
    encode too much (a whole Content-Disposition, for one). Written and read again they are plain.
    """
    if part.policy == policy.compat32:
        return part
    modern: Any = part
    plain_policy = modern.policy.clone(linesep="\n")
    if getattr(plain_policy, "utf8", False):
        plain_policy = plain_policy.clone(utf8=False)
    return message_from_bytes(modern.as_bytes(policy=plain_policy))


def _as_message(what: str, content: Any) -> Message:
    if isinstance(content, Message | ModernMessage):
        return legacy_part(content)
    if callable(build := getattr(content, "message", None)):
        return build()  # type: ignore[no-any-return] # one of our messages
    return message_from_bytes(_as_bytes(what, content))


def _as_bytes(what: str, content: Any) -> bytes:
    if isinstance(content, bytes | bytearray | memoryview):
        return bytes(content)
    if isinstance(content, Message):
        return content.as_bytes()
    try:
        return str(content).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise ValueError(f"{what}: content can't be written in UTF-8: {error}") from error


def _charset_of(name: Any) -> Charset:
    charset = Charset(str(name))
    return utf8_charset if charset.input_charset == "utf-8" else charset


def _encode_text(text: str, charset: str) -> bytes:
    try:
        return text.encode(charset, "surrogateescape")
    except UnicodeEncodeError as error:
        raise UnicodeEncodeError(
            error.encoding, error.object, error.start, error.end, f"{error.reason} (in the text)"
        ) from None
    except (LookupError, UnicodeError) as error:
        # Some codecs of Python are no charsets at all: idna, base64, rot13 …
        raise ValueError(f"encoding: {charset!r} is no charset for mail: {error}") from error


def _sendable(charset: Charset, payload: bytes) -> Charset:
    """Return the charset, or a quoted-printable copy where the payload needs that."""
    if charset.body_encoding in {charsets.QP, charsets.BASE64}:
        return charset
    if not (_LONG_LINE.search(payload) or b"\0" in payload):
        return charset
    if charset is utf8_charset:
        return utf8_charset_qp
    quoted = copy.copy(charset)
    quoted.body_encoding = charsets.QP
    return quoted
