"""One message's SMTP dialogue in lockstep (RFC 5321, section 3.3), told as an ``Attempt``.

``smtplib.SMTP.sendmail()`` tells too little for a queue: it keys refusals by address, though an
address can stand twice, and its errors do not say whether the content had been handed over. Only
smtplib's reading and writing of single commands and replies is used here.
"""

import contextlib
import smtplib
import time
from collections.abc import Container, Mapping
from typing import Any, Final

from mailqueue.outcomes import Attempt, Fault, Stage
from mailqueue.smtp import observing
from mailqueue.smtp.letter import Letter, terminated
from mailqueue.smtp.offers import (
    AddressNotSupportedError,
    check_address,
    largest_size,
    mail_options,
)
from mailqueue.smtp.replies import GO_ON, YES, understand

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
        elif transaction.begun and not transaction.taken:
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
    """The steps, in the order in which they are spoken; each returns what ended the transaction."""

    def __init__(self, client: smtplib.SMTP, letter: Letter) -> None:
        self.stage = Stage.CONNECT
        self.begun = False
        self.taken = False
        self.refused: list[tuple[str, Fault]] = []
        self._client = client
        self._letter = letter
        self._observer = observing.observer()

    def run(self) -> Fault | None:
        """Speak; return what ended the transaction for all recipients that are not refused."""
        try:
            return self._dialogue()
        except (OSError, ValueError) as error:  # smtplib's errors are among them
            return Fault.of_error(self.stage, error, lost=True)

    def _dialogue(self) -> Fault | None:
        recipients = self._letter.recipients
        if fault := self._greet() or self._weigh():
            return fault
        barred = {who: fault for who in recipients if (fault := self._unsupported(who))}
        if not all(who in barred for who in recipients) and (fault := self._introduce(barred)):
            return fault
        if fault := self._address(barred):
            return fault
        return self._hand_over() if len(self.refused) < len(recipients) else None

    def _greet(self) -> Fault | None:
        """EHLO, where opening the connection has not said it yet."""
        try:
            self._client.ehlo_or_helo_if_needed()
        except smtplib.SMTPHeloError as error:
            # smtplib's -1 stands for a reply without a code.
            return Fault.of_reply(self.stage, max(error.smtp_code, 0), error.smtp_error, lost=True)
        return None

    def _weigh(self) -> Fault | None:
        """What the server's offers rule out for the whole message needs no dialogue."""
        if fault := self._unsupported(self._letter.sender):
            return fault
        size, largest = self._letter.size, largest_size(self._client)
        if largest is None or size <= largest:
            return None
        words = f"5.3.4 Message of {size} octets exceeds the server's SIZE {largest}"
        return Fault(Stage.SENDER, 552, words)

    def _unsupported(self, address: str) -> Fault | None:
        try:
            check_address(self._client, address)
        except AddressNotSupportedError as error:
            return Fault.of_error(Stage.BUILD, error)
        return None

    def _introduce(self, barred: Container[str]) -> Fault | None:
        """MAIL, with the options that the message needs."""
        self.stage, self.begun = Stage.SENDER, True
        letter = self._letter
        said = [who for who in letter.addresses if who not in barred]
        options = list(mail_options(self._client, said, letter.content))
        self._client.command_encoding = "utf-8" if "SMTPUTF8" in options else "ascii"
        if self._client.has_extn("size"):
            options.insert(0, f"SIZE={letter.size}")
        return self._ask("MAIL", " ".join([f"FROM:<{letter.sender}>", *options]))

    def _address(self, barred: Mapping[str, Fault]) -> Fault | None:
        """RCPT for each recipient that the server can be told."""
        self.stage = Stage.RECIPIENT
        for who in self._letter.recipients:
            fault = barred.get(who) or self._ask("RCPT", f"TO:<{who}>")
            if fault and fault.lost:
                return fault
            if fault:
                self.refused.append((who, fault))
        return None

    def _hand_over(self) -> Fault | None:
        """DATA and the content."""
        self.stage = Stage.DATA
        if fault := self._ask("DATA", yes=GO_ON):
            return fault
        content = terminated(self._letter.content)
        last = max(0, len(content) - _CHUNK)
        for start in range(0, last, _CHUNK):
            self._client.send(content[start : min(start + _CHUNK, last)])
        # Before the write: what fails in the middle of it may still have left as a whole.
        self.stage = Stage.CONTENT
        self._client.send(content[last:])
        sent_at = time.monotonic()
        reply = self._client.getreply()
        if self._observer:
            self._observer.answered(reply[0], time.monotonic() - sent_at)
        fault = understand(self.stage, reply)
        self.taken = fault is None
        return fault

    def _ask(self, command: str, argument: str = "", *, yes: range = YES) -> Fault | None:
        reply = self._client.docmd(command, argument)
        fault = understand(self.stage, reply, yes=yes)
        if fault and self._observer:
            self._observer.refused(reply[0])
        return fault


def _reset(client: smtplib.SMTP) -> None:
    try:
        code, _ = client.rset()
    except OSError:
        code = 0
    if code not in YES:
        _close(client)


def _close(client: smtplib.SMTP) -> None:
    with contextlib.suppress(OSError):
        client.close()
