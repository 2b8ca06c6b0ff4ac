"""What the queue carries for one message: a frozen, versioned, JSON-safe value.

An envelope holds the message's fields, never pickled objects. Id, Message-ID and Date are fixed
when the envelope is made, so every later attempt sends the same mail. ``packing.py`` turns
messages into envelopes and back; this module is only the value and its bytes.

Versions: ``v`` is raised when an older worker could no longer send the mail right. A field that
it may ignore is added without raising it, so producers and workers can be upgraded in any order.
"""

from typing import Any, Final, Literal

import msgspec

from mailqueue.errors import DecodeError
from mailqueue.values import Text

VERSION: Final = 1

Priority = Literal["high", "normal", "bulk"]


class CharsetSpec(msgspec.Struct, frozen=True):
    """A custom ``email.charset.Charset``, field by field."""

    input_charset: str
    header_encoding: int | None
    body_encoding: int | bool | None
    output_charset: str | None
    input_codec: str | None
    output_codec: str | None


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """An attachment or an alternative; content of kind ``mime`` is a whole MIME entity."""

    content: Text
    mimetype: Text | None = None
    filename: Text | None = None


class Try(msgspec.Struct, frozen=True, array_like=True):
    """One attempt that ended in trouble: when, and what was said."""

    at: float
    detail: str


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message on its way, with its delivery options.

    ``raw`` is set for messages that fields cannot describe: it holds the whole MIME message, and
    the other fields say only what a person or a policy wants to know about it.
    """

    #: Format version; always written.
    v: int
    #: Names the mail in the queue, the ledger and the logs; 32 hexadecimal digits.
    id: str
    #: Seconds since the epoch when it was enqueued.
    enqueued_at: float
    kind: Literal["EmailMessage", "EmailMultiAlternatives", "raw"] = "EmailMessage"

    subject: Text = ""
    body: Text = ""
    from_email: Text = ""
    to: tuple[Text, ...] = ()
    cc: tuple[Text, ...] = ()
    bcc: tuple[Text, ...] = ()
    reply_to: tuple[Text, ...] = ()
    #: In order; Date and Message-ID are always among them (except for ``raw``).
    headers: tuple[tuple[str, Any], ...] = ()
    attachments: tuple[Part, ...] = ()
    alternatives: tuple[Part, ...] = ()
    encoding: str | CharsetSpec | None = None
    content_subtype: Text = "plain"
    mixed_subtype: Text = "mixed"
    alternative_subtype: Text = "alternative"
    #: Whatever else the message carried: ``tags``, ``metadata``, ``envelope_sender`` …
    extra: dict[str, Any] = {}
    raw: bytes = b""

    #: SMTP recipients still to be served; None: all that the message names.
    recipients: tuple[Text, ...] | None = None
    #: The task reports failure in its result, not as its state.
    fail_silently: bool = False
    #: The way out it takes.
    route: str = "default"
    #: ``high`` overtakes ``normal`` overtakes ``bulk``, without starving it.
    priority: Priority = "normal"
    #: Seconds since the epoch before which it is not sent.
    not_before: float = 0.0
    #: Seconds since the epoch after which it is not sent any more; None: the policy's age decides.
    expires_at: float | None = None
    #: What to do when nobody can know whether it was sent; None: ``MAILQUEUE_ON_UNKNOWN``.
    on_unknown: Literal["resend", "hold"] | None = None

    #: Raised each time the mail is put back; the ledger knows an older copy by it.
    edition: int = 0
    #: Attempts that count: those in which this message or a recipient was deferred.
    attempts: int = 0
    #: Seconds since the epoch of the first of them; 0.0 before it.
    first_attempt_at: float = 0.0
    #: Connections in a row that were new and broke at this very message.
    detours: int = 0
    #: The latest attempts that ended in trouble, for people to read.
    tries: tuple[Try, ...] = ()

    @property
    def message_id(self) -> str:
        """The Message-ID header's value; empty where a raw message was built without one."""
        return next((str(v) for name, v in self.headers if name.lower() == "message-id"), "")

    def encode(self) -> str:
        """Its JSON document."""
        return _encoder.encode(self).decode()

    @classmethod
    def decode(cls, data: object) -> "Envelope":
        """Read a JSON document.

        Raises ``DecodeError`` (with the document as ``data``) when it is not text, not JSON, of
        an unknown version, or lacks what an envelope must have.
        """
        if not isinstance(data, str | bytes):
            raise DecodeError(f"an envelope is JSON text, this is {type(data).__name__}", data=data)
        try:
            envelope = _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeError) as error:
            _refuse_other_version(data)
            raise DecodeError(f"not an envelope: {error}", data=data) from None
        except RecursionError:
            raise DecodeError("not an envelope: it nests too deep", data=data) from None
        if envelope.v != VERSION:
            _refuse_other_version(data)
        return envelope


class _Version(msgspec.Struct):
    v: int


def _refuse_other_version(data: str | bytes) -> None:
    """Say so where the version explains why it cannot be read."""
    try:
        found = msgspec.json.decode(data, type=_Version).v
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return
    if found != VERSION:
        raise DecodeError(
            f"envelope version {found}, this worker reads version {VERSION}; "
            "upgrade the workers before the producers",
            data=data,
        )


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Envelope)
