"""A message that travels as finished MIME bytes."""

import email
import re
from email.message import Message
from email.policy import Policy
from typing import Any, Final

from mailqueue.headers import check_header_name, check_header_value
from mailqueue.message import EmailMessage

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")


class RawMIME(Message):
    """A parsed view of finished bytes, which are given out again exactly as they came."""

    _raw: bytes = b""

    def as_bytes(
        self,
        unixfrom: bool = False,
        policy: "Policy[Any] | None" = None,
        linesep: str = "\n",
    ) -> bytes:
        """Return the bytes as they came: building them again could change a signature.

        Line ends alone are as the caller wants them; Django 5 says so by ``linesep``, Django 6 by a
        policy.
        """
        del unixfrom
        wanted = policy.linesep if policy else linesep
        return self._raw if wanted == "\n" else _LINE_END.sub(wanted.encode("ascii"), self._raw)


def finished(data: bytes) -> RawMIME:
    """The parsed view of a message's finished bytes."""
    parsed = email.message_from_bytes(data, _class=RawMIME)
    parsed._raw = data  # noqa: SLF001 - set here, since parsers call the class bare
    return parsed


class RawMessage(EmailMessage):
    """An ``EmailMessage`` whose ``message()`` is finished; fields beside it are for reading only.

    Args:
        raw: The whole MIME message, in bytes.
    """

    def __init__(self, raw: bytes) -> None:
        super().__init__()
        # A name of its own: a message may carry an attribute ``raw`` besides.
        self.__mime = raw

    def message(self) -> Any:
        """Return the MIME message, parsed, with the very bytes that it was made of."""
        return finished(self.__mime)

    def put_in_front(self, name: str, value: str) -> None:
        """Put a header before all others; the bytes after it stay as they are, signed or not."""
        check_header_name(name)
        check_header_value(name, value)
        self.__mime = f"{name}: {value}\n".encode("ascii") + self.__mime
