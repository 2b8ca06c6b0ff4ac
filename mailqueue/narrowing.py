"""A message for some of its recipients: the others have it, or are not to get it.

A backend that speaks SMTP asks ``message.recipients()``, so the fields can stay as they were
written and everybody sees whom the mail was for. A provider's API is given the fields themselves:
there, who is not meant must not stand in them.
"""

from collections.abc import Sequence
from typing import Any, Final

from mailqueue.addresses import envelope_address
from mailqueue.errors import EncodeError

_FIELDS: Final = ("to", "cc", "bcc")
#: Where the backends are that ask; their base classes promise nothing.
_ASKING: Final = ("django.core.mail.backends.", "mailqueue.backends.")


def asks_for_recipients(backend: Any) -> bool:
    """True for Django's backends, ours, and what is built on them, but not on the bases alone."""
    return any(
        cls.__module__.startswith(_ASKING) and not cls.__module__.endswith(".base")
        for cls in type(backend).__mro__
    )


def check_sends_mime(backend: Any) -> None:
    """Refuse a backend that would send finished MIME without its content.

    Anymail builds what it sends of the message's fields, and such a message has none but its
    subject and recipients. Amazon SES is given the MIME, and so may be others that are not known.

    Raises ``EncodeError``.
    """
    cls = type(backend)
    modules = {base.__module__ for base in cls.__mro__}
    if "anymail.backends.base" in modules and "anymail.backends.amazon_ses" not in modules:
        raise EncodeError(
            f"it is finished MIME, and {cls.__module__}.{cls.__name__} sends fields alone; "
            "send such mail by a route with SMTP"
        )


def narrow_fields(message: Any) -> None:
    """Let the fields name those alone whom ``recipients()`` names since an earlier attempt."""
    if "recipients" in vars(message):
        keep_only(message, [str(who) for who in message.recipients()])


def keep_only(message: Any, welcome: Sequence[str]) -> None:
    """Leave these recipients, each in its field; those that no field names become blind copies.

    Display names stay. ``message`` is ours; it is changed in place.
    """
    left = [(_bare(who), who) for who in welcome]
    for field in _FIELDS:
        kept = []
        for who in getattr(message, field):
            found = next((one for one in left if one[0] == _bare(who)), None)
            if found is not None:
                kept.append(who)
                left.remove(found)
        setattr(message, field, kept)
    message.bcc = [*message.bcc, *(who for _, who in left)]
    # Recipients that are left of an earlier attempt stand in the way of the fields.
    vars(message).pop("recipients", None)
    for name in list(message.extra_headers):
        if name.lower() in {"to", "cc"}:
            # A header of its own would name those who do not get it, and hide who does.
            del message.extra_headers[name]


def _bare(who: Any) -> str:
    """The address as a server is told; as it is written, where that is no address."""
    try:
        return envelope_address(str(who))
    except ValueError:
        return str(who)
