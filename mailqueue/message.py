"""``EmailMessage`` and ``EmailMultiAlternatives``, as ``django.core.mail.message`` has them.

A message is plain data until ``message()`` builds its MIME form: making one does no I/O, and
everything may be changed until it is sent. The names that Django's module offers are found here
under the same path.
"""

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from email.charset import Charset
from email.message import Message
from email.mime.base import MIMEBase
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Any, Self

from mailqueue.addresses import sanitize_address
from mailqueue.attachments import (
    DEFAULT_ATTACHMENT_MIME_TYPE,
    EmailAlternative,
    EmailAttachment,
    Part,
    make_attachment,
)
from mailqueue.conf import get_settings
from mailqueue.errors import BadHeaderError
from mailqueue.headers import (
    ADDRESS_HEADERS,
    RFC5322_EMAIL_LINE_LENGTH_LIMIT,
    UNIQUE_HEADERS,
    check_header_name,
    forbid_multi_line_headers,
)
from mailqueue.mime import (
    MIMEMixin,
    SafeMIMEMessage,
    SafeMIMEMultipart,
    SafeMIMEText,
    as_text,
    legacy_part,
    make_part,
    name_attachment,
    utf8_charset,
    utf8_charset_qp,
)
from mailqueue.utils import DNS_NAME

__all__ = [
    "ADDRESS_HEADERS",
    "DEFAULT_ATTACHMENT_MIME_TYPE",
    "DNS_NAME",
    "RFC5322_EMAIL_LINE_LENGTH_LIMIT",
    "BadHeaderError",
    "EmailAlternative",
    "EmailAttachment",
    "EmailMessage",
    "EmailMultiAlternatives",
    "MIMEBase",
    "MIMEMessage",
    "MIMEMixin",
    "MIMEMultipart",
    "MIMEText",
    "SafeMIMEMessage",
    "SafeMIMEMultipart",
    "SafeMIMEText",
    "forbid_multi_line_headers",
    "formatdate",
    "make_msgid",
    "sanitize_address",
    "utf8_charset",
    "utf8_charset_qp",
]

#: Filled by the message itself, or (Content-Type …) by its structure.
_NOT_IN_HEADERS = frozenset(
    {"subject", "content-type", "content-transfer-encoding", "mime-version"}
)
#: A header would show to every recipient what is meant for none of them.
_BLIND = frozenset({"bcc", "resent-bcc"})
_FROM_ATTRIBUTES = frozenset({"from", "to", "cc", "reply-to"})


class EmailMessage:
    """One mail.

    Args:
        subject: The subject.
        body: The text; bytes are taken as UTF-8.
        from_email: The sender; empty means ``DEFAULT_FROM_EMAIL``.
        to: Recipients that the header names: a list or tuple of addresses.
        bcc: Recipients that no header names.
        connection: The backend to send through; None means ``EMAIL_BACKEND``.
        attachments: ``EmailAttachment``, tuples like ``(filename, content[, mimetype])``, or MIME
            parts, which are inserted as they are.
        headers: Further headers. They win over From, To, Cc, Reply-To, Date and Message-ID.
        cc: Recipients that the header names as copies.
        reply_to: Where answers shall go.

    Raises:
        TypeError: A str was given where a list or tuple belongs.
        ValueError: An attachment lacks its content.
    """

    content_subtype: str = "plain"
    mixed_subtype: str = "mixed"
    encoding: str | Charset | None = None  # None means DEFAULT_CHARSET

    def __init__(
        self,
        subject: Any = "",
        body: Any = "",
        from_email: Any = None,
        to: Sequence[Any] | None = None,
        bcc: Sequence[Any] | None = None,
        connection: Any = None,
        attachments: Iterable[Any] | None = None,
        headers: dict[str, Any] | None = None,
        cc: Sequence[Any] | None = None,
        reply_to: Sequence[Any] | None = None,
    ) -> None:
        self.subject = subject
        self.body = "" if body is None else body
        self.from_email = from_email or get_settings().DEFAULT_FROM_EMAIL
        self.to = _address_list("to", to)
        self.cc = _address_list("cc", cc)
        self.bcc = _address_list("bcc", bcc)
        self.reply_to = _address_list("reply_to", reply_to)
        self.attachments: list[Any] = []
        for attachment in attachments or ():
            if isinstance(attachment, Part):
                self.attach(attachment)
            else:
                self.attach(*attachment)
        self.extra_headers: dict[str, Any] = headers or {}
        self.connection = connection

    def get_connection(self, fail_silently: bool = False) -> Any:
        """Return the backend to send through, made from the settings when none was given."""
        # Here, so that building messages needs no part of sending.
        from mailqueue.sending import get_connection  # noqa: PLC0415

        if not self.connection:
            self.connection = get_connection(fail_silently=fail_silently)
        return self.connection

    def message(self) -> SafeMIMEText | SafeMIMEMultipart:
        """Build the MIME form; each call builds it anew.

        Raises:
            BadHeaderError: A header, file name, media type or charset would break a header, or a
                header is there twice, or it would show blind copies.
            TypeError: An address attribute holds a str where a list or tuple belongs.
            ValueError: Text cannot be written in the message's encoding, or an address is none.
        """
        settings = get_settings()
        encoding = self.encoding or settings.DEFAULT_CHARSET
        headers = HeaderOverrides(self.extra_headers or {})
        message = self._with_attachments(self._text(encoding), encoding)

        message["Subject"] = self.subject
        message["From"] = headers.override("from", self.from_email)
        for name, attribute in (("To", "to"), ("Cc", "cc"), ("Reply-To", "reply_to")):
            listed = [
                str(addr) for addr in _address_list(attribute, getattr(self, attribute)) if addr
            ]
            value = headers.override(name.lower(), ", ".join(listed))
            if value:
                message[name] = value
        if "date" not in headers:
            message["Date"] = formatdate(localtime=settings.EMAIL_USE_LOCALTIME)
        if "message-id" not in headers:
            # The cached name: looking the host name up again for each message is slow.
            message["Message-ID"] = make_msgid(domain=DNS_NAME)  # type: ignore[arg-type]
        for name, value in headers.further():
            message[name] = value
        return message

    def recipients(self) -> list[Any]:
        """Everyone who gets this mail: to, cc and bcc, without empty entries."""
        lists = ((name, getattr(self, name)) for name in ("to", "cc", "bcc"))
        return [addr for name, addrs in lists for addr in _address_list(name, addrs) if addr]

    def send(self, fail_silently: bool = False) -> Any:
        """Send this mail; returns how many were sent, 0 without any recipient."""
        if not self.recipients():
            # A backend might open a connection only to find nothing to send.
            return 0
        return self.get_connection(fail_silently).send_messages([self])

    def attach(self, filename: Any = None, content: Any = None, mimetype: Any = None) -> None:
        """Attach a file, or a MIME part given as the only argument.

        Args:
            filename: The name that the recipient sees; None for none. Or the MIME part.
            content: bytes or str; for message/rfc822 a message as well.
            mimetype: Guessed from the file name when missing, else application/octet-stream.

        Raises:
            ValueError: The content is missing, or a part was given with further arguments.
        """
        if isinstance(filename, Part):
            if content is not None or mimetype is not None:
                raise ValueError(
                    "content and mimetype must not be given when a MIMEBase instance is provided."
                )
            self.attachments.append(filename)
        elif content is None:
            raise ValueError("content must be provided.")
        else:
            self.attachments.append(make_attachment(filename, content, mimetype))

    def attach_file(self, path: Any, mimetype: Any = None) -> None:
        """Attach a file from the file system; its content is read now.

        Raises:
            OSError: The file cannot be read.
        """
        path = Path(path)
        self.attach(path.name, path.read_bytes(), mimetype)

    def __copy__(self) -> Self:
        duplicate = type(self).__new__(type(self))
        vars(duplicate).update(vars(self))
        return duplicate

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # The connection is shared: sockets and locks cannot be copied, and need not be.
        duplicate = type(self).__new__(type(self))
        memo[id(self)] = duplicate
        for name, value in vars(self).items():
            vars(duplicate)[name] = value if name == "connection" else copy.deepcopy(value, memo)
        return duplicate

    def __getstate__(self) -> dict[str, Any]:
        # A pickle travels: sockets cannot, and the backend's password must not.
        return {**vars(self), "connection": None}

    def _text(self, encoding: str | Charset) -> SafeMIMEText | SafeMIMEMultipart:
        """The message without attachments."""
        with _told_apart("body"):
            return SafeMIMEText(as_text(self.body), self.content_subtype, encoding)

    def _has_text(self) -> bool:
        return bool(as_text(self.body))

    def _with_attachments(
        self, text: SafeMIMEText | SafeMIMEMultipart, encoding: str | Charset
    ) -> SafeMIMEText | SafeMIMEMultipart:
        if not self.attachments:
            return text
        mixed = SafeMIMEMultipart(_subtype=self.mixed_subtype, encoding=encoding)
        if self._has_text():
            mixed.attach(text)
        for number, attachment in enumerate(self.attachments, 1):
            mixed.attach(self._attachment(number, attachment, encoding))
        return mixed

    def _attachment(self, number: int, attachment: Any, encoding: str | Charset) -> Message:
        if isinstance(attachment, Part):
            return legacy_part(attachment)
        filename, content, mimetype = make_attachment(*(*attachment, None)[:3])
        what = f"attachment {number}"
        with _told_apart(what):
            part = make_part(what, content, mimetype, encoding)
        if filename:
            name_attachment(part, filename)
        return part


class EmailMultiAlternatives(EmailMessage):
    """A mail with further renderings of its text, such as HTML.

    Args:
        subject: As in ``EmailMessage``, like the others up to ``headers``.
        body: The plain text.
        from_email: The sender.
        to: Recipients.
        bcc: Blind recipients.
        connection: The backend.
        attachments: Attachments.
        headers: Further headers.
        alternatives: ``EmailAlternative`` or pairs like ``("<p>Hello", "text/html")``.
        cc: Recipients of copies.
        reply_to: Where answers shall go.
    """

    alternative_subtype: str = "alternative"

    def __init__(
        self,
        subject: Any = "",
        body: Any = "",
        from_email: Any = None,
        to: Sequence[Any] | None = None,
        bcc: Sequence[Any] | None = None,
        connection: Any = None,
        attachments: Iterable[Any] | None = None,
        headers: dict[str, Any] | None = None,
        alternatives: Iterable[Any] | None = None,
        cc: Sequence[Any] | None = None,
        reply_to: Sequence[Any] | None = None,
    ) -> None:
        super().__init__(
            subject,
            body,
            from_email,
            to,
            bcc,
            connection,
            attachments,
            headers,
            cc,
            reply_to,
        )
        self.alternatives: list[Any] = [EmailAlternative(*given) for given in alternatives or ()]

    def attach_alternative(self, content: Any, mimetype: Any) -> None:
        """Add a rendering of the text.

        Args:
            content: str or bytes.
            mimetype: Its media type, such as ``text/html``.

        Raises:
            ValueError: One of the two is missing.
        """
        if content is None or mimetype is None:
            raise ValueError("Both content and mimetype must be provided.")
        self.alternatives.append(EmailAlternative(content, mimetype))

    def body_contains(self, text: str) -> bool:
        """Whether the body and every alternative of a text type contain ``text``."""
        return text in as_text(self.body) and all(
            text in as_text(content)
            for content, mimetype in self.alternatives
            if str(mimetype).startswith("text/")
        )

    def _has_text(self) -> bool:
        return bool(self.alternatives) or super()._has_text()

    def _text(self, encoding: str | Charset) -> SafeMIMEText | SafeMIMEMultipart:
        if not self.alternatives:
            return super()._text(encoding)
        container = SafeMIMEMultipart(_subtype=self.alternative_subtype, encoding=encoding)
        if super()._has_text():
            container.attach(super()._text(encoding))
        for number, (content, mimetype) in enumerate(self.alternatives, 1):
            what = f"alternative {number}"
            with _told_apart(what):
                container.attach(make_part(what, content, mimetype, encoding))
        return container


class HeaderOverrides:
    """The ``headers`` of a message, found by name in any letter case."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._given = [(check_header_name(name), value) for name, value in given.items()]
        self._values: dict[str, Any] = {}
        for name, value in self._given:
            kind = name.lower()
            if kind in _BLIND:
                raise BadHeaderError(
                    f"Header {name!r} would show the blind copies; use the argument bcc"
                )
            if kind in _NOT_IN_HEADERS or (kind in self._values and kind in UNIQUE_HEADERS):
                raise BadHeaderError(f"Header {name!r} would be in the message twice")
            self._values[kind] = value

    def __contains__(self, kind: str) -> bool:
        return kind in self._values

    def override(self, kind: str, value: Any) -> Any:
        return self._values.get(kind, value)

    def further(self) -> Iterator[tuple[str, Any]]:
        return (item for item in self._given if item[0].lower() not in _FROM_ATTRIBUTES)


@contextmanager
def _told_apart(what: str) -> Iterator[None]:
    """Let the error for text that cannot be encoded name the field that holds it."""
    try:
        yield
    except UnicodeEncodeError as error:
        error.reason = f"{error.reason}: {what}"
        raise


def _address_list(name: str, addresses: Any) -> list[Any]:
    if not addresses:
        return []
    error = TypeError(f'"{name}" argument must be a list or tuple')
    if isinstance(addresses, str | bytes):
        raise error
    try:
        return list(addresses)
    except TypeError:
        raise error from None
