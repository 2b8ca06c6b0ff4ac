"""Delivers to an SMTP server over one connection.

``send_messages()`` is Django's, through ``smtplib``'s ``sendmail()``: a connection that died is
dropped, and the next message gets a new one. ``deliver_messages()`` is for a worker: it tells what
came of each message, and leaves new connections to its caller.
"""

import smtplib
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, Final

from mailqueue.outcomes import Attempt
from mailqueue.smtp.connection import SmtpConnection
from mailqueue.smtp.letter import Letter
from mailqueue.smtp.offers import AddressNotSupportedError, mail_options
from mailqueue.smtp.transaction import transact

__all__ = ["AddressNotSupportedError", "EmailBackend"]

#: Reply for "closing the transmission channel" (RFC 5321, section 3.8).
CLOSING: Final = 421

Refusals = dict[str, tuple[int, bytes]]


class EmailBackend(SmtpConnection):
    """Sends over one SMTP connection; its arguments are those of ``SmtpConnection``."""

    @cached_property
    def refused(self) -> list[tuple[Any, Refusals]]:
        """Messages of the latest ``send_messages()`` with recipients that the server refused.

        Each with its dict of address to reply code and text.
        """
        return []

    def send_messages(self, email_messages: Iterable[Any]) -> int:
        """Send messages; returns how many the server took for at least one recipient.

        Raises:
            OSError: The server did not take a message, unless ``fail_silently``.
            ValueError: A message cannot be built, or an address is not exactly one mailbox.
        """
        messages = list(email_messages or ())
        if not messages:
            return 0
        with self._lock:
            self.refused = []
            opened, sent = False, 0
            try:
                for message in messages:
                    # Also in the middle: the connection may have died with the message before.
                    new = self.open()
                    if new is None or not self.connection:
                        break
                    opened = opened or new
                    sent += self._send(message)
            finally:
                if opened or not self.connection:
                    self.close()
        return sent

    def deliver_messages(self, messages: Iterable[Any]) -> Iterator[Attempt]:
        """Hand messages over one after the other; yield what came of each.

        ``transact()`` tells what an attempt's fields mean together. ``fail_silently`` changes
        nothing here.

        Raises:
            SMTPServerDisconnected: The backend is not open; no message was taken.
        """
        client = self.connection
        if client is None:
            raise smtplib.SMTPServerDisconnected("deliver_messages() needs an open backend")
        for message in messages:
            with self._lock:
                try:
                    attempt = self._with_login_in_mind(transact(client, message))
                finally:
                    if client.sock is None and self.connection is client:
                        self.connection = None
            yield attempt
            # Lost, or closed by the caller; a new one is for the next call.
            if self.connection is not client:
                return

    def _with_login_in_mind(self, attempt: Attempt) -> Attempt:
        """Drop a connection whose token's time is over; the next one logs in with a fresh one."""
        fault = attempt.fault
        if fault is None or not self._needs_login(fault.code):
            return attempt
        self._drop()
        return attempt._replace(fault=fault._replace(lost=True))

    def _needs_login(self, code: int) -> bool:
        return self._token_login is not None and self._token_login.is_over(code)

    def _send(self, email_message: Any) -> bool:
        """Send one message; whether the server took it."""
        if not email_message.recipients():
            return False
        letter = Letter.of(email_message)
        try:
            if self.connection is None:
                raise smtplib.SMTPServerDisconnected("please connect first")
            options = mail_options(self.connection, letter.addresses, letter.content)
            refusals = self.connection.sendmail(
                letter.sender, letter.recipients, letter.content, options
            )
        except smtplib.SMTPRecipientsRefused as error:
            self.refused.append((email_message, dict(error.recipients)))
            return self._failed(error)
        except OSError as error:
            return self._failed(error)
        if refusals:
            self.refused.append((email_message, refusals))
        return True

    def _failed(self, error: OSError) -> bool:
        """Leave the connection fit for the next message, or drop it."""
        if self._is_dead(error):
            self._drop()
        elif isinstance(error, smtplib.SMTPDataError):
            # The one refusal after which the standard library may leave the transaction open.
            try:
                self.connection.rset()
            except OSError:
                self._drop()
        if not self.fail_silently:
            raise error
        return False

    def _is_dead(self, error: OSError) -> bool:
        if isinstance(error, smtplib.SMTPServerDisconnected):
            return True
        if not isinstance(error, smtplib.SMTPException):
            return True
        if isinstance(error, smtplib.SMTPResponseException) and (
            error.smtp_code == CLOSING or self._needs_login(error.smtp_code)
        ):
            return True
        return getattr(self.connection, "sock", True) is None
