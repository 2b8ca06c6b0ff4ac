"""A message in the form that SMTP takes it: two kinds of addresses and the content."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

from mailqueue.addresses import envelope_address
from mailqueue.wire import serialise


class Letter(NamedTuple):
    """What goes over the wire for one message."""

    #: For MAIL FROM.
    sender: str
    #: For RCPT TO, in the message's order; an address can stand twice.
    recipients: Sequence[str]
    #: With CRLF line ends; dots are not doubled yet.
    content: bytes

    @classmethod
    def of(cls, message: Any) -> Self:
        """Build the letter of a message.

        Raises:
            ValueError: The message cannot be built, an address is not exactly one mailbox, or
                there are no recipients.
            Exception: Whatever else a message's own methods raise.
        """
        sender = envelope_address(message.from_email)
        recipients = [envelope_address(address) for address in message.recipients()]
        if not recipients:
            raise ValueError("The message has no recipients")
        return cls(sender, recipients, serialise(message.message()))

    @property
    def addresses(self) -> Sequence[str]:
        """The sender, then the recipients."""
        return [self.sender, *self.recipients]

    @property
    def size(self) -> int:
        """Octets as SIZE counts them: with every CRLF, without what dots add (RFC 1870)."""
        return len(self.content) + (0 if self.content.endswith(b"\r\n") else 2)


def terminated(content: bytes) -> bytes:
    """Return the content as it follows DATA's 354: dots doubled, the final dot in its own line.

    A line that begins with a dot gets a second one (RFC 5321, section 4.5.2).

    Args:
        content: CRLF is its only line end.
    """
    if content.startswith(b"."):
        content = b"." + content
    content = content.replace(b"\n.", b"\n..")
    return content + (b".\r\n" if content.endswith(b"\r\n") else b"\r\n.\r\n")
