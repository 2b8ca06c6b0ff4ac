"""What is checked of a message before it enters the queue, and again when it has left it.

A mail that could never be sent is refused here, in the caller's stack, where a contact form can
still answer; and a payload from the queue is untrusted input, whichever backend will get it. The
rules are those of ``headers.py`` and ``addresses.py``, which hold again when our backends build the
message; here they are applied without building it, which costs a tenth.
"""

import re
from typing import Any, Final

from mailqueue.addresses import envelope_address, sanitize_address_list
from mailqueue.attachments import Part
from mailqueue.conf import get_settings
from mailqueue.headers import (
    check_header_value,
    check_subtype,
    forbid_multi_line_headers,
    split_media_type,
)
from mailqueue.message import HeaderOverrides
from mailqueue.raw import RawMessage
from mailqueue.wire import serialise

#: The everyday address, known to be fine without parsing (RFC 5321: 64 octets, then 255).
_PLAIN_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*"
)
#: An ASCII value of this length needs no folding, so that nothing can go wrong in it.
_SHORT: Final = 500


def check_message(message: Any) -> None:
    """Refuse a message that could never be sent; it is not changed.

    Raises:
        BadHeaderError: A header, file name or media type would break a header, is there twice, or
            would show blind copies.
        ValueError: An address is none, or text cannot be written in the message's encoding.
        TypeError: An address attribute or header holds what it must not.
    """
    encoding = message.encoding or get_settings().DEFAULT_CHARSET
    if isinstance(message, RawMessage):
        serialise(message.message())
    elif isinstance(encoding, str) and encoding.lower() in {"utf-8", "utf8"}:
        _check_headers(message, encoding)
        _check_parts(message)
    else:
        # A charset that cannot write everything: only building it shows whether it can this.
        message.message()
    for address in (message.from_email, *message.recipients()):
        if not _PLAIN_ADDRESS.fullmatch(str(address)) and envelope_address(address)[:1] == '"':
            _check_quoted(str(address))


def _check_quoted(address: str) -> None:
    """``root`` may be a local mailbox; several words without a domain are no address at all."""
    if "@" not in address:
        raise ValueError(f'Invalid address "{address}"; it has no domain')


def _check_headers(message: Any, encoding: str) -> None:
    headers = HeaderOverrides(message.extra_headers)
    _check("Subject", message.subject, encoding)
    _check_addresses("From", headers.override("from", message.from_email), encoding)
    for name, attribute in (("To", "to"), ("Cc", "cc"), ("Reply-To", "reply_to")):
        if name.lower() in headers:
            _check_addresses(name, headers.override(name.lower(), ""), encoding)
        else:
            for address in getattr(message, attribute):
                _check_addresses(name, address, encoding)
    for name, value in headers.further():
        _check(name, value, encoding)


def _check(name: str, value: Any, encoding: str) -> None:
    text = str(value)
    if text.isascii() and len(text) < _SHORT:
        check_header_value(name, text)
    else:
        forbid_multi_line_headers(name, value, encoding)


def _check_addresses(name: str, value: Any, encoding: str) -> None:
    text = str(value)
    check_header_value(name, text)
    if not text.isascii():
        sanitize_address_list(text, encoding)


def _check_parts(message: Any) -> None:
    check_subtype("content_subtype", message.content_subtype)
    # Django has none from 6.0 on.
    check_subtype("mixed_subtype", getattr(message, "mixed_subtype", "mixed"))
    for number, attachment in enumerate(message.attachments, 1):
        if isinstance(attachment, Part):
            continue
        filename, _, mimetype = (*attachment, None, None)[:3]
        if filename is not None:
            check_header_value(f"attachment {number}: file name", str(filename))
        if mimetype is not None:
            split_media_type(f"attachment {number}: mimetype", mimetype)
    for number, (_, mimetype) in enumerate(getattr(message, "alternatives", None) or (), 1):
        split_media_type(f"alternative {number}: mimetype", mimetype)
