"""Between mailqueue's messages and the other two ``EmailMessage`` classes of the field.

- the standard library's ``email.message.EmailMessage``: finished MIME, so it travels raw;
- Django's ``django.core.mail.EmailMessage``: the same fields, so it travels as these, and is
  rebuilt as Django's class where the worker delivers through a backend made for Django
  (its own, or Anymail's), which may look for that class and its attributes.

Django is never imported here: where its classes are needed, somebody has loaded it.
"""

import email
from email.message import Message
from importlib import import_module
from typing import Any, Final

from mailqueue.addresses import envelope_address, split_addresses
from mailqueue.message import EmailMessage, EmailMultiAlternatives
from mailqueue.packing import pack_message
from mailqueue.raw import RawMessage, finished
from mailqueue.unpacking import unpack_message
from mailqueue.wire import serialise


def is_message(value: Any) -> bool:
    """True for one message of any of the three kinds; false for an iterable of them."""
    return isinstance(value, Message) or hasattr(value, "recipients")


def from_django(message: Any) -> EmailMessage:
    """Make our message of Django's (5.2 to 6.1), with every attribute that the queue carries.

    Raises ``EncodeError`` where it holds something that the queue cannot carry.
    """
    return unpack_message(pack_message(message))


def from_standard(message: Message) -> RawMessage:
    """Make our message of an ``email.message.EmailMessage`` (or the older ``Message``).

    Sender and recipients are those of its own headers, as ``smtplib.send_message`` takes them:
    Sender before From, and To, Cc and Bcc. Blind copies are removed from what is sent.

    Raises ``ValueError`` when it names no sender, or an address is none.
    """
    senders = addresses(message, "Sender") or addresses(message, "From")
    if not senders:
        raise ValueError("the message has neither From nor Sender")
    # A copy by its bytes: the caller's message stays as it is.
    copy = email.message_from_bytes(message.as_bytes())
    del copy["Bcc"]
    converted = RawMessage(copy.as_bytes())
    converted.from_email = envelope_address(senders[0])
    for name in ("to", "cc", "bcc"):
        setattr(converted, name, [envelope_address(one) for one in addresses(message, name)])
    converted.subject = " ".join(str(message["Subject"] or "").split())
    return converted


def addresses(message: Message, *names: str) -> list[str]:
    """Addresses of these headers as they stand there; an empty group (``hidden:;``) has none."""
    values = [" ".join(str(v).split()) for name in names for v in message.get_all(name, [])]
    found = [address for value in values for address in split_addresses(value)]
    return [address for address in found if not address.endswith(":;")]


def is_for_django(backend: Any) -> bool:
    """True for a delivery backend that is made for Django: its own classes, and those on them."""
    return any(cls.__module__.startswith("django.core.mail.") for cls in type(backend).__mro__)


def to_django(ours: EmailMessage) -> Any:
    """Rebuild our message as Django's class. Raises ``ImportError`` without Django."""
    mail = import_module("django.core.mail")
    missing = {name for name in _SUBTYPES if not hasattr(mail.EmailMultiAlternatives, name)}
    if isinstance(ours, RawMessage) or any(
        getattr(ours, name, default) != default
        for name, default in _SUBTYPES.items()
        if name in missing
    ):
        message = _raw_class(mail.EmailMessage)(ours)
    elif isinstance(ours, EmailMultiAlternatives):
        message = mail.EmailMultiAlternatives()
        for content, mimetype in ours.alternatives:
            message.attach_alternative(content, mimetype)
    else:
        message = mail.EmailMessage()
    kept = {name: value for name, value in vars(ours).items() if name not in _BUILT | missing}
    vars(message).update(kept)
    for attachment in ours.attachments:
        if isinstance(attachment, tuple):
            message.attach(*attachment)
        else:
            message.attach(attachment)
    return message


#: Made by Django's own methods above, in its own classes.
_BUILT: Final = frozenset({"attachments", "alternatives", "connection", "_RawMessage__mime"})


#: Django dropped these in 6.0; a message that sets one is handed over as finished MIME there.
_SUBTYPES: Final = {"mixed_subtype": "mixed", "alternative_subtype": "alternative"}


def _raw_class(base: Any) -> Any:
    """Django's class for a message whose MIME is finished."""

    class RawDjangoMessage(base):  # type: ignore[misc]
        def __init__(self, ours: EmailMessage) -> None:
            super().__init__()
            self._ours = ours

        def message(self, *, policy: Any = None) -> Any:
            built = self._ours.message()
            if policy is None or policy.linesep == "\n":
                return built
            # Django 6 asks once, here, for the bytes of the wire.
            return finished(serialise(built))

    return RawDjangoMessage
