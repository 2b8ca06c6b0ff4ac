"""What may stand in a header, and how text becomes one.

- A name is printable ASCII without a colon (RFC 5322, section 2.2).
- A value holds no control character but the tab, and none of U+0085, U+2028, U+2029: the standard
  library splits lines at all of these, so each would end the header and begin another.
- Non-ASCII text becomes encoded words (RFC 2047) in the message's charset; in address headers
  only names do, and domains become ASCII by IDNA.
- No line is longer than 998 octets (RFC 5322, section 2.1.1). A subject that does not fold is
  encoded, which splits it anywhere; other headers are refused, as encoding may change their sense.
- A media type is ``type/subtype`` of RFC 2045 tokens, with well-formed parameters if any.

Whatever breaks a rule is refused with ``BadHeaderError``, which names the header.
"""

import datetime as dt
import re
from email import policy
from email.charset import Charset
from email.errors import HeaderParseError
from email.header import Header
from email.utils import format_datetime
from typing import Any, Final

from mailqueue.addresses import sanitize_address_list
from mailqueue.conf import get_settings
from mailqueue.errors import BadHeaderError

#: Octets of one line without its line end (RFC 5322, section 2.1.1).
RFC5322_EMAIL_LINE_LENGTH_LIMIT: Final = 998

#: Headers that hold addresses, in lower case (RFC 5322, sections 3.6.2, 3.6.3 and 3.6.6).
ADDRESS_HEADERS: Final = frozenset(
    {
        "from",
        "sender",
        "reply-to",
        "to",
        "cc",
        "bcc",
        "resent-from",
        "resent-sender",
        "resent-to",
        "resent-cc",
        "resent-bcc",
    }
)

#: Headers of which a message has one at most, in lower case (RFC 5322, section 3.6; RFC 2045).
UNIQUE_HEADERS: Final = frozenset(
    {
        "date",
        "from",
        "sender",
        "reply-to",
        "to",
        "cc",
        "message-id",
        "in-reply-to",
        "references",
        "subject",
        "mime-version",
        "content-type",
        "content-transfer-encoding",
    }
)

#: Characters of a type's or charset's name (RFC 6838, section 4.2).
MAX_NAME: Final = 127

_DATE_HEADERS: Final = frozenset({"date", "resent-date"})
_FREE_TEXT_HEADERS: Final = frozenset({"subject", "comments"})

_NAME: Final = re.compile(r"[\x21-\x39\x3b-\x7e]+")
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")
_TOKEN: Final = r"[!#$%&'*+.^_`{|}~0-9A-Za-z-]+"  # noqa: S105 - RFC 2045's word for a name
_PARAMETER: Final = (
    rf'[ \t]*;[ \t]*({_TOKEN})=({_TOKEN}|"(?:[^"\\\x00-\x1f\x7f-\U0010ffff]|\\[ -~])*")'
)
_SUBTYPE: Final = re.compile(rf"{_TOKEN}(?:{_PARAMETER})*;?")
_TYPE: Final = re.compile(_TOKEN)


def forbid_multi_line_headers(
    name: Any, val: Any, encoding: str | Charset | None
) -> tuple[str, str]:
    """Return a header's name and value as they can be written, or refuse them.

    Args:
        name: The header's name.
        val: Its value; anything that ``str()`` makes a text of, and a datetime for ``Date``.
        encoding: Charset for non-ASCII text; None means ``DEFAULT_CHARSET``.

    Raises:
        BadHeaderError: The name or value would break the header block, or cannot be encoded.
        ValueError: An address header holds non-ASCII text that is not a list of addresses.
    """
    name = check_header_name(name)
    kind = name.lower()
    if kind in _DATE_HEADERS and isinstance(val, dt.datetime):
        val = format_datetime(val)
    text = val = str(val)
    check_header_value(name, text)
    encoding = encoding or get_settings().DEFAULT_CHARSET
    if kind == "subject" or not val.isascii():
        val = _encode(name, val, encoding)
    # Folding only adds one blank to a line, so that shorter headers need no closer look.
    if len(name) + len(val) + 4 > RFC5322_EMAIL_LINE_LENGTH_LIMIT and _has_long_line(name, val):
        if kind not in _FREE_TEXT_HEADERS:
            raise BadHeaderError(
                f"Header lines can't be longer than {RFC5322_EMAIL_LINE_LENGTH_LIMIT} octets "
                f"(header {name!r} cannot be folded at blanks)"
            )
        val = _encoded_anyway(text)
    return name, val


def check_header_name(name: Any) -> str:
    """Return the name as str.

    Raises:
        BadHeaderError: It holds something else than printable ASCII, or a colon.
    """
    text = str(name)
    if not _NAME.fullmatch(text):
        raise BadHeaderError(
            f"Header names can contain printable ASCII without colons only (got {text!r})"
        )
    return text


def check_header_value(name: str, val: str) -> None:
    """Refuse a value that would end its header.

    Raises:
        BadHeaderError: It holds a line break or another control character.
    """
    if "\n" in val or "\r" in val:
        raise BadHeaderError(
            f"Header values can't contain newlines (got {val!r} for header {name!r})"
        )
    if _FORBIDDEN.search(val):
        raise BadHeaderError(
            f"Header values can't contain control characters (got {val!r} for header {name!r})"
        )


def check_subtype(what: str, subtype: Any) -> str:
    """Return a media subtype as str; parameters may follow it (``calendar; method=REQUEST``).

    Raises:
        BadHeaderError: It is no RFC 2045 token, or what follows are no parameters; ``what`` names
            the field in the text.
    """
    text = str(subtype)
    if not _SUBTYPE.fullmatch(text):
        raise BadHeaderError(f"{what} is not a media subtype (got {text!r} for 'Content-Type')")
    if len(text) > RFC5322_EMAIL_LINE_LENGTH_LIMIT // 2:
        raise BadHeaderError(f"{what} is too long for the header 'Content-Type'")
    return text


def split_media_type(what: str, mimetype: Any) -> tuple[str, str]:
    """Return type and subtype (with its parameters) of a media type like ``text/html``.

    Raises:
        BadHeaderError: It is not ``type/subtype`` of RFC 2045 tokens.
    """
    maintype, slash, subtype = str(mimetype).partition("/")
    if not slash or not _TYPE.fullmatch(maintype) or len(maintype) > MAX_NAME:
        raise BadHeaderError(
            f"{what} is not a media type (got {str(mimetype)!r} for 'Content-Type')"
        )
    return maintype, check_subtype(what, subtype)


def without_charset(subtype: str) -> str:
    """Return a checked subtype without a ``charset`` parameter, which the text part sets itself."""
    if ";" not in subtype:
        return subtype

    def keep(parameter: re.Match[str]) -> str:
        return "" if parameter[1].lower() == "charset" else parameter[0]

    return re.sub(_PARAMETER, keep, subtype).rstrip(";")


def check_charset(what: str, charset: str) -> None:
    """Refuse the name of a charset that is no RFC 2045 token.

    Raises:
        BadHeaderError: ``what`` names the field in the text.
    """
    if not _TYPE.fullmatch(charset) or len(charset) > MAX_NAME:
        raise BadHeaderError(f"{what} is not a charset (got {charset!r} for 'Content-Type')")


def _encode(name: str, val: str, encoding: str | Charset) -> str:
    try:
        if name.lower() in ADDRESS_HEADERS:
            return sanitize_address_list(val, encoding)
        if val.isascii():
            return str(Header(val).encode())
        return _encoded_words(val, encoding)
    except (UnicodeError, LookupError, HeaderParseError) as error:
        raise BadHeaderError(
            f"Header {name!r} can't be encoded in {str(encoding)!r}: {error}"
        ) from error


def _encoded_words(val: str, encoding: str | Charset) -> str:
    encoded: str = Header(val, encoding).encode()
    # A charset made for bodies may have no way to write headers; raw octets are no alternative.
    return encoded if encoded.isascii() else str(Header(val, "utf-8").encode())


def _encoded_anyway(text: str) -> str:
    """Encode ASCII text, which the library would leave alone, in pieces that fit a line."""
    charset = Charset("utf-8")
    pieces = (text[at : at + 40] for at in range(0, len(text), 40))
    return "\n ".join(charset.header_encode(piece) for piece in pieces)


def _has_long_line(name: str, val: str) -> bool:
    folded = policy.compat32.fold(name, val)
    return any(len(line) > RFC5322_EMAIL_LINE_LENGTH_LIMIT for line in folded.splitlines())
