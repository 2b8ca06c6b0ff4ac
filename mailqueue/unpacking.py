"""Envelopes back into messages; ``packing.py`` is the way there."""

import email
from email.charset import Charset
from email.message import Message
from email.mime.base import MIMEBase
from email.policy import compat32
from typing import Any

from mailqueue.attachments import EmailAlternative, EmailAttachment
from mailqueue.envelope import CharsetSpec, Envelope, Part
from mailqueue.errors import DecodeError
from mailqueue.message import EmailMessage, EmailMultiAlternatives
from mailqueue.packing import RESERVED
from mailqueue.raw import RawMessage
from mailqueue.values import Special, Text, unpack, unpack_tree


def recipients_of(envelope: Envelope) -> list[str]:
    """To whom the mail still goes, without rebuilding it."""
    if envelope.recipients is not None:
        return [str(unpack(value)) for value in envelope.recipients]
    return [str(unpack(value)) for value in (*envelope.to, *envelope.cc, *envelope.bcc)]


class _CarriedPart(MIMEBase):
    """A MIME object that came through the queue; a ``MIMEBase``, as the mail API asks for."""

    def __init__(self, policy: Any = compat32) -> None:
        Message.__init__(self, policy=policy)  # MIMEBase's own would add headers


def unpack_message(envelope: Envelope) -> EmailMessage:
    """Rebuild the message that was packed.

    Raises ``DecodeError`` where a value in it is damaged. Header and address rules are checked
    when its MIME is built: a payload from the queue is as untrusted as any other input.
    """
    if envelope.kind == "raw":
        message: EmailMessage = RawMessage(envelope.raw)
    elif envelope.kind == "EmailMultiAlternatives":
        message = EmailMultiAlternatives()
        message.alternatives = [
            EmailAlternative(_unpack_content(part.content), _unpack_optional(part.mimetype))
            for part in envelope.alternatives
        ]
        message.alternative_subtype = unpack(envelope.alternative_subtype)
    else:
        message = EmailMessage()
    message.subject = unpack(envelope.subject)
    message.from_email = unpack(envelope.from_email)
    for name in ("to", "cc", "bcc", "reply_to"):
        setattr(message, name, [unpack(value) for value in getattr(envelope, name)])
    message.extra_headers = {name: unpack_tree(value) for name, value in envelope.headers}
    for name, value in envelope.extra.items():
        if name in RESERVED:
            raise DecodeError(f"{name!r} cannot be an attribute of its own", data=envelope)
        setattr(message, name, unpack_tree(value))
    if envelope.kind != "raw":
        message.body = unpack(envelope.body)
        message.attachments = [_unpack_part(part) for part in envelope.attachments]
        message.encoding = _unpack_charset(envelope.encoding)
        message.content_subtype = unpack(envelope.content_subtype)
        message.mixed_subtype = unpack(envelope.mixed_subtype)
    if envelope.recipients is not None:
        remaining = [unpack(value) for value in envelope.recipients]
        # On the instance, so that it holds for whichever backend asks the message.
        message.recipients = lambda: list(remaining)  # type: ignore[method-assign]
    return message


def _unpack_part(part: Part) -> Any:
    if isinstance(part.content, Special) and part.content.kind == "mime" and part.mimetype is None:
        return _parsed(part.content.data, _CarriedPart)
    return EmailAttachment(
        _unpack_optional(part.filename),
        _unpack_content(part.content),
        _unpack_optional(part.mimetype),
    )


def _unpack_optional(value: Text | None) -> Any:
    return None if value is None else unpack(value)


def _unpack_content(content: Text) -> Any:
    if isinstance(content, Special) and content.kind == "mime":
        return _parsed(content.data, Message)
    return unpack(content)


def _parsed(data: bytes, cls: type[Message]) -> Message:
    try:
        return email.message_from_bytes(data, _class=cls)
    except RecursionError:
        raise DecodeError("a MIME object nests too deep", data=data) from None


def _unpack_charset(encoding: str | CharsetSpec | None) -> Any:
    if not isinstance(encoding, CharsetSpec):
        return encoding
    charset = Charset()  # not of its name, which would be looked up; every field follows
    for name in CharsetSpec.__struct_fields__:
        setattr(charset, name, getattr(encoding, name))
    return charset
