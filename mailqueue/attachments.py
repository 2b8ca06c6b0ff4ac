"""Attachments and alternatives as the mail API keeps them: named tuples, nothing built yet."""

import mimetypes
import os
from email.message import MIMEPart
from email.mime.base import MIMEBase
from typing import Any, Final, NamedTuple

DEFAULT_ATTACHMENT_MIME_TYPE: Final = "application/octet-stream"


class EmailAttachment(NamedTuple):
    """One attachment; ``mimetype`` is None until it was guessed."""

    filename: Any
    content: Any
    mimetype: Any


class EmailAlternative(NamedTuple):
    """One further rendering of the body, such as its HTML."""

    content: Any
    mimetype: Any


#: Attachments that are MIME parts already. ``MIMEPart`` is the standard library's newer kind.
Part = MIMEBase | MIMEPart


def make_attachment(filename: Any, content: Any, mimetype: Any) -> EmailAttachment:
    """Return an attachment with its media type settled.

    A missing type is guessed from the file name. Bytes of a text type become text where they are
    UTF-8; where they are not, they travel unchanged as application/octet-stream.
    """
    if not mimetype and filename:
        mimetype = mimetypes.guess_type(os.fspath(filename) if _is_path(filename) else filename)[0]
    mimetype = mimetype or DEFAULT_ATTACHMENT_MIME_TYPE
    if isinstance(content, bytes | bytearray | memoryview) and str(mimetype).startswith("text/"):
        try:
            content = bytes(content).decode()
        except UnicodeDecodeError:
            mimetype = DEFAULT_ATTACHMENT_MIME_TYPE
    return EmailAttachment(filename, content, mimetype)


def _is_path(filename: Any) -> bool:
    return isinstance(filename, os.PathLike)
