"""Messages into envelopes; ``unpacking.py`` is the way back.

A message travels as its fields where these say everything. It travels as *raw* MIME, with its
SMTP recipients, where they do not: a subclass that builds its MIME itself, an attached MIME object
that would not come back byte for byte. Both take our message classes and Django's alike, since
they only look at attributes.
"""

import email
import email.utils
import os
import time
import uuid
from collections.abc import Iterable
from email.charset import Charset
from email.generator import BytesGenerator
from email.message import Message
from io import BytesIO
from typing import Any, Final

from mailqueue.attachments import make_attachment
from mailqueue.conf import get_settings
from mailqueue.envelope import VERSION, CharsetSpec, Envelope, Part
from mailqueue.errors import EncodeError
from mailqueue.headers import forbid_multi_line_headers
from mailqueue.message import EmailMultiAlternatives
from mailqueue.mime import legacy_part
from mailqueue.options import NO_OPTIONS, Options
from mailqueue.utils import DNS_NAME
from mailqueue.values import (
    Special,
    Text,
    is_lazy,
    pack,
    pack_key,
    pack_tree,
    unpack_tree,
)

_FIELDS: Final = frozenset(
    {
        "subject", "body", "from_email", "to", "cc", "bcc", "reply_to", "extra_headers",
        "attachments", "alternatives", "encoding", "content_subtype", "mixed_subtype",
        "alternative_subtype",
    }
)  # fmt: skip
#: Belong to the producer's process: its connection, and what a provider's backend noted there;
#: and what a raw message is made of, which travels as such.
_LEFT_BEHIND: Final = frozenset(
    {"connection", "_connection", "anymail_status", "_RawMessage__mime"}  # the second: Django 6.1
)
#: What a message is and does: further attributes must not take its place.
RESERVED: Final = _FIELDS | _LEFT_BEHIND | frozenset(dir(EmailMultiAlternatives))
#: Subclasses may replace these without changing what is sent.
_HARMLESS: Final = frozenset(
    {
        "__init__", "__repr__", "__str__", "__eq__", "__hash__", "__getstate__", "__setstate__",
        "__reduce__", "__deepcopy__", "send", "get_connection", "attach", "attach_file",
        "attach_alternative", "body_contains",
    }
)  # fmt: skip
_BASES: Final = {"mailqueue.message", "django.core.mail.message"}


class _NeedsRawError(Exception):
    """Fields cannot describe this message."""


def pack_message(
    message: Any,
    *,
    fail_silently: bool = False,
    options: Options = NO_OPTIONS,
    position: int = 0,
) -> Envelope:
    """Make the envelope of a message, ours or Django's; the message itself is not changed.

    ``position`` is the message's within its call: an idempotency key gives each its own id.

    Raises ``EncodeError`` when it holds something that the queue cannot carry, and whatever
    building it raises (``BadHeaderError``, ``ValueError``) when it could never be sent.
    """
    id_ = options.id_of(position) or uuid.uuid4().hex
    common: dict[str, Any] = {
        "v": VERSION,
        "id": id_,
        "enqueued_at": time.time(),
        "fail_silently": fail_silently,
        "subject": pack(message.subject, "subject"),
        "from_email": pack(message.from_email, "from_email"),
        "to": _texts(message.to, "to"),
        "cc": _texts(message.cc, "cc"),
        "bcc": _texts(message.bcc, "bcc"),
        "reply_to": _texts(message.reply_to, "reply_to"),
        "headers": _headers(message.extra_headers or {}, id_, options.not_before),
        "extra": _extra(message),
    }
    for name in ("not_before", "expires_at", "on_unknown", "route", "priority"):
        if value := getattr(options, name):  # most mail has none, and need not carry it
            common[name] = value
    try:
        return Envelope(**common, **_described(message))
    except _NeedsRawError:
        pass  # outside, so that errors from building it show no other one before them
    return Envelope(**(common | _raw(message, common["headers"])))


def _texts(values: Iterable[object] | None, where: str) -> tuple[Text, ...]:
    return tuple(pack(value, f"{where}[{at}]") for at, value in enumerate(values or ()))


def _headers(given: dict[str, Any], id_: str, not_before: float) -> tuple[tuple[str, Any], ...]:
    """Fix Date and Message-ID, in front: where a message puts those that it makes up itself."""
    names = {str(name).lower() for name in given}
    fixed: list[tuple[str, Any]] = []
    if "date" not in names:
        # RFC 5322, 3.6.1: the time at which the author put the message on its way. A mail for
        # next week is to be among next week's mail, wherever it is sorted by this.
        local = get_settings().EMAIL_USE_LOCALTIME
        fixed.append(("Date", email.utils.formatdate(not_before or None, localtime=local)))
    if "message-id" not in names:
        fixed.append(("Message-ID", f"<{id_}@{DNS_NAME}>"))
    return (
        *fixed,
        *(
            (pack_key(str(name), "headers"), _header_value(value, f"headers[{name!r}]"))
            for name, value in given.items()
        ),
    )


def _header_value(value: object, where: str) -> Any:
    if isinstance(value, list | tuple | dict):
        raise EncodeError(f"{where} is a {type(value).__name__}; give it as text")
    # As the message will write it: ``str()`` of an enumeration's member is not its value.
    return pack_tree(str(value) if isinstance(value, str) else value, where)


def _extra(message: Any) -> dict[str, Any]:
    """Attributes beyond the API's own. Private ones (``_x``) travel where JSON can hold them."""
    extra: dict[str, Any] = {}
    for name, value in (_class_attributes(type(message)) | vars(message)).items():
        if name in _FIELDS or name in _LEFT_BEHIND or _is_unset(value):
            continue
        if name in RESERVED:
            raise EncodeError(
                f"{name} was replaced on the message itself, which the queue cannot carry; "
                "replace it in a subclass"
            )
        try:
            extra[pack_key(name, "the message")] = pack_tree(value, name)
        except EncodeError as error:
            if not name.startswith("_"):
                raise EncodeError(
                    f"{error}; what the mail does not need may stay behind under a name with '_' "
                    "in front"
                ) from None
    return extra


def _is_unset(value: Any) -> bool:
    """What ``AnymailMessage`` holds for each attribute that nobody set: a class of this name."""
    return isinstance(value, type) and value.__name__ == "UNSET"


def _class_attributes(cls: type) -> dict[str, Any]:
    """Plain public values that subclasses define (``tags = ["welcome"]``)."""
    found: dict[str, Any] = {}
    for ancestor in reversed(cls.__mro__):
        if ancestor.__module__ not in _BASES:
            found |= {
                name: value
                for name, value in vars(ancestor).items()
                if not name.startswith("_")
                and not callable(value)
                and not hasattr(type(value), "__get__")
            }
    return found


def _described(message: Any) -> dict[str, Any]:
    base = _base_class(type(message))
    alternatives = getattr(message, "alternatives", None)
    return {
        "kind": base.__name__,
        "body": pack("" if message.body is None else message.body, "body"),
        "attachments": tuple(_part(item) for item in message.attachments),
        "alternatives": tuple(
            Part(content=_content(content), mimetype=_optional(mimetype, "mimetype"))
            for content, mimetype in alternatives or ()
        ),
        # Settled here, since the worker may have another default.
        "encoding": _charset(message.encoding or _own_default_charset()),
        "content_subtype": pack(message.content_subtype, "content_subtype"),
        "mixed_subtype": pack(getattr(message, "mixed_subtype", "mixed"), "mixed_subtype"),
        "alternative_subtype": pack(
            getattr(message, "alternative_subtype", "alternative"), "alternative_subtype"
        ),
    }


def _base_class(cls: type) -> type:
    """The API's class that ``cls`` is or extends without changing how mail is built."""
    overridden: set[str] = set()
    for ancestor in cls.__mro__:
        if ancestor.__module__ in _BASES and ancestor.__name__ in {
            "EmailMessage",
            "EmailMultiAlternatives",
        }:
            if any(hasattr(ancestor, name) for name in overridden - _HARMLESS - _FIELDS):
                raise _NeedsRawError
            return ancestor
        overridden.update(
            name
            for name, value in vars(ancestor).items()
            if callable(value) or isinstance(value, property | staticmethod | classmethod)
        )
    raise _NeedsRawError


def _part(item: Any) -> Part:
    if isinstance(item, Message):
        return Part(content=_mime(item))
    # Its type is settled here: another machine may know other file names.
    filename, content, mimetype = make_attachment(*(*item, None)[:3])
    if isinstance(content, Message) and str(mimetype) != "message/rfc822":
        content = content.as_bytes()  # a file like any other
    if isinstance(filename, os.PathLike):
        filename = os.fspath(filename)
    return Part(
        filename=_optional(filename, "attachment's file name"),
        content=_content(content),
        mimetype=_optional(mimetype, "attachment's mimetype"),
    )


def _optional(value: object, where: str) -> Text | None:
    return None if value is None else pack(value, where)


def _content(content: Any) -> Text:
    if isinstance(content, Message):
        return _mime(content)
    if hasattr(content, "message") and callable(content.message):
        return _mime(content.message())
    return pack(content, "attachment's content")


def _mime(part: Message) -> Special:
    """A MIME object as its bytes; one that would come back different makes the message raw."""
    data = _flat(legacy_part(part))
    if _flat(email.message_from_bytes(data)) != data:
        raise _NeedsRawError
    return Special("mime", data=data)


def _flat(part: Message) -> bytes:
    """Its bytes as in a mail: unlike ``as_bytes()``, without ``>`` before lines with "From "."""
    out = BytesIO()
    BytesGenerator(out, mangle_from_=False).flatten(part)
    return out.getvalue()


def _own_default_charset() -> str | None:
    """``DEFAULT_CHARSET`` where it is not everybody's."""
    charset = get_settings().DEFAULT_CHARSET
    return None if charset.lower() in {"utf-8", "utf8"} else charset


def _charset(encoding: object) -> str | CharsetSpec | None:
    if encoding is None:
        return None
    if isinstance(encoding, str) or is_lazy(encoding):
        name = pack(encoding, "encoding")
        if not isinstance(name, str):
            raise EncodeError("encoding is no text; give the name of a charset")
        return name
    if type(encoding) is not Charset:
        raise _NeedsRawError
    spec = {name: getattr(encoding, name) for name in CharsetSpec.__struct_fields__}
    if not all(value is None or isinstance(value, str | int) for value in spec.values()):
        raise _NeedsRawError
    return CharsetSpec(**spec)


def _raw(message: Any, headers: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    """Build it here, once, so that whatever Date and Message-ID it makes up are fixed by it."""
    mime = message.message()
    raw = mime.as_bytes()
    fixed: dict[str, str] = {}
    for name, value in headers:
        if name in {"Date", "Message-ID"}:
            if name in mime:
                fixed[name] = str(mime[name])
            else:
                _, fixed[name] = forbid_multi_line_headers(name, unpack_tree(value), None)
                raw = f"{name}: {fixed[name]}\n".encode() + raw
    return {
        "kind": "raw",
        "raw": raw,
        "headers": (
            *fixed.items(),
            *(pair for pair in headers if pair[0] not in fixed),
        ),
        "recipients": _texts(message.recipients(), "recipients"),
    }
