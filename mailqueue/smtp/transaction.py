"""One message's SMTP dialogue in lockstep (RFC 5321, section 3.3), told as an ``Attempt``.

``smtplib.SMTP.sendmail()`` tells too little for a queue: it keys refusals by address, though an
address can stand twice, and its errors do not say whether the content had been handed over. Only
smtplib's reading and writing of single commands and replies is used here.

What a reply means (RFC 5321, section 4.2.1): 2xx, or 354 to DATA, is a yes; 4xx and 5xx are
refusals; 421 says that the server closes the connection (section 3.8), and that nothing was
accepted. Anything else is no answer to what was asked. Both sides may be out of step then, so the
connection is given up.
"""

import contextlib
import smtplib
from typing import Any, Final

from mailqueue.outcomes import Attempt, Fault, Stage
from mailqueue.smtp.letter import Letter, terminated
from mailqueue.smtp.offers import (
    AddressNotSupportedError,
    check_address,
    largest_size,
    mail_options,
)

_YES: Final = range(200, 300)
_GO_ON: Final = range(354, 355)
_NO: Final = range(400, 600)
#: Octets of content in one write; each write has the connection's whole time-out for itself.
_CHUNK: Final = 64 * 1024


def transact(client: smtplib.SMTP, message: Any) -> Attempt:
    """Hand one message over; the client is closed afterwards where the connection was lost.

    ``refused`` holds the recipients that were refused at RCPT, also where a ``fault`` ended the
    transaction later on: the fault then concerns all other recipients.

    After a refusal the transaction is reset (RSET), so that the next MAIL is not answered with
    503. A reset that fails closes the client and changes nothing about the attempt.
    """
    try:
        letter = Letter.of(message)
    except Exception as error:  # noqa: BLE001 - the application's own code builds messages, too
        return Attempt(message, fault=Fault.of_error(Stage.BUILD, error))
    transaction = _Transaction(client, letter)
    try:
        fault = transaction.run()
        if fault and fault.lost:
            _close(client)
        elif transaction.open:
            _reset(client)
    except BaseException:  # an interrupt: nobody knows how far the dialogue had come
        _close(client)
        raise
    return Attempt(
        message,
        taken=transaction.taken,
        refused=tuple(transaction.refused),
        fault=fault,
        # Only a reply tells what the server made of content that it may have whole.
        unknown=fault is not None and fault.stage is Stage.CONTENT and not fault.code,
    )


class _Transaction:
    """The steps, in the order in which they are spoken."""

    def __init__(self, client: smtplib.SMTP, letter: Letter) -> None:
        self.stage = Stage.CONNECT
        self.open = False  # something was said that a RSET has to undo
        self.taken = False
        self.refused: list[tuple[str, Fault]] = []
        self._client = client
        self._letter = letter

    def run(self) -> Fault | None:
        """Speak; return what ended the transaction for all recipients that are not refused."""
        try:
            return self._greet() or self._check() or self._speak()
        except OSError as error:  # smtplib's errors among them
            return Fault.of_error(self.stage, error, lost=True)

    def _greet(self) -> Fault | None:
        try:
            self._client.ehlo_or_helo_if_needed()
        except smtplib.SMTPHeloError as error:
            fault = _understood(self.stage, error.smtp_code, error.smtp_error, _YES)
            return fault and fault._replace(lost=True)
        return None

    def _check(self) -> Fault | None:
        """What the server's offers rule out needs no dialogue."""
        if fault := self._unsupported(self._letter.sender):
            return fault
        size, largest = len(self._letter.content), largest_size(self._client)
        if largest is not None and size > largest:
            words = f"5.3.4 Message of {size} octets exceeds the server's SIZE {largest}"
            return Fault(Stage.SENDER, 552, words)
        return None

    def _speak(self) -> Fault | None:
        supported = [who for who in self._letter.addresses if not self._unsupported(who)]
        if len(supported) > 1:
            if fault := self._say_sender(supported):
                return fault
        return self._say_recipients() or (self._say_content() if self.accepted else None)

    def _unsupported(self, address: str) -> Fault | None:
        try:
            check_address(self._client, address)
        except AddressNotSupportedError as error:
            return Fault.of_error(Stage.BUILD, error)
        return None
