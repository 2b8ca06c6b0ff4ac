"""Delivers to an SMTP server.

- Certificates and host names are always verified; a client certificate comes on top of that.
- A connection counts as open only after STARTTLS and login went through. Until then it is kept
  apart and given up on any failure, so that nothing is ever sent on a half-open one, silently or
  not.
- A connection that died is dropped, and the next message gets a new one.
- Recipients that the server refused are kept in ``refused``.
"""

import contextlib
import smtplib
import ssl
import threading
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Final

from mailqueue.addresses import envelope_address
from mailqueue.backends.base import BaseEmailBackend
from mailqueue.conf import get_settings
from mailqueue.utils import DNS_NAME
from mailqueue.wire import serialise

#: Reply for "closing the transmission channel" (RFC 5321, section 3.8).
CLOSING: Final = 421


class AddressNotSupportedError(smtplib.SMTPNotSupportedError):
    """An address has a non-ASCII local part, and the server does not offer SMTPUTF8 (RFC 6531)."""


Refusals = dict[str, tuple[int, bytes]]


class EmailBackend(BaseEmailBackend):
    """Sends over one SMTP connection.

    Args:
        host: The server; None means ``EMAIL_HOST``, and so on for the others up to ``timeout``.
        port: Its port.
        username: User for SMTP AUTH; empty means no login.
        password: Password for SMTP AUTH.
        use_tls: STARTTLS after connecting (RFC 3207).
        fail_silently: Whether trouble on the way is silent.
        use_ssl: TLS from the first byte (RFC 8314).
        timeout: Seconds that one operation may take.
        ssl_keyfile: The client certificate's key (PEM file).
        ssl_certfile: The client certificate (PEM file).
        local_hostname: What EHLO says; None means this host's name.
        **kwargs: Ignored.

    Attributes:
        refused: Messages of the latest ``send_messages()`` with recipients that the server
            refused, each with its dict of address to reply code and text.

    Raises:
        ValueError: Both ``use_tls`` and ``use_ssl`` are set.
    """

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        username: str | None = None,
        password: str | None = None,
        use_tls: bool | None = None,
        fail_silently: bool = False,
        use_ssl: bool | None = None,
        timeout: float | None = None,
        ssl_keyfile: str | None = None,
        ssl_certfile: str | None = None,
        local_hostname: str | None = None,
        **kwargs: Any,  # noqa: ARG002 - one call serves every backend
    ) -> None:
        super().__init__(fail_silently=fail_silently)
        settings = get_settings()
        self.host = host or settings.EMAIL_HOST
        self.port = port or settings.EMAIL_PORT
        # An empty user or password is an answer: no login, whatever the settings say.
        self.username = settings.EMAIL_HOST_USER if username is None else username
        self.password = settings.EMAIL_HOST_PASSWORD if password is None else password
        self.use_tls = settings.EMAIL_USE_TLS if use_tls is None else use_tls
        self.use_ssl = settings.EMAIL_USE_SSL if use_ssl is None else use_ssl
        self.timeout = settings.EMAIL_TIMEOUT if timeout is None else timeout
        self.ssl_keyfile = settings.EMAIL_SSL_KEYFILE if ssl_keyfile is None else ssl_keyfile
        self.ssl_certfile = settings.EMAIL_SSL_CERTFILE if ssl_certfile is None else ssl_certfile
        self.local_hostname = local_hostname
        if self.use_ssl and self.use_tls:
            raise ValueError(
                "EMAIL_USE_TLS/EMAIL_USE_SSL are mutually exclusive, so only set "
                "one of those settings to True."
            )
        self.connection: Any = None
        self._partial_connection: Any = None
        self.refused: list[tuple[Any, Refusals]] = []
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        """Show where to, never with what password."""
        return f"<{type(self).__module__}.{type(self).__qualname__} {self.host}:{self.port}>"

    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        """The standard library's class for this kind of connection."""
        return smtplib.SMTP_SSL if self.use_ssl else smtplib.SMTP

    @cached_property
    def ssl_context(self) -> ssl.SSLContext:
        """The default context, which verifies, with the client's certificate added."""
        context = ssl.create_default_context()
        if self.ssl_certfile:
            context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile)
        return context

    def open(self) -> bool | None:
        """Connect and log in. True: a new connection; False: it was open; None: silently failed.

        Raises:
            OSError: The server cannot be reached, verified, or does not let us in.
        """
        if self.connection:
            return False
        self._forget_partial()
        try:
            self._partial_connection = self._connect()
            if self.use_tls:
                self._partial_connection.starttls(context=self.ssl_context)
            if self.username and self.password:
                self._partial_connection.login(self.username, self.password)
        except OSError:
            # Kept apart in _partial_connection, where nothing is sent; close() or the next open()
            # ends it. Django keeps it, too.
            if self.fail_silently:
                return None
            raise
        self.connection, self._partial_connection = self._partial_connection, None
        return True

    def close(self) -> None:
        """Say goodbye and close the connection; fine without one.

        A goodbye that fails is no error: what was sent is sent.
        """
        self._forget_partial()
        connection, self.connection = self.connection, None
        if connection is not None:
            _say_goodbye(connection)

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

    def _connect(self) -> smtplib.SMTP:
        # Given always: the standard library would look the host name up for each connection.
        params: dict[str, Any] = {"local_hostname": self.local_hostname or DNS_NAME.get_fqdn()}
        if self.timeout is not None:
            params["timeout"] = self.timeout
        if self.use_ssl:
            params["context"] = self.ssl_context
        return self.connection_class(self.host, self.port, **params)

    def _forget_partial(self) -> None:
        partial, self._partial_connection = self._partial_connection, None
        if partial is not None:
            _say_goodbye(partial)

    def _send(self, email_message: Any) -> bool:
        """Send one message; whether the server took it."""
        if not email_message.recipients():
            return False
        sender = envelope_address(email_message.from_email)
        recipients = [envelope_address(addr) for addr in email_message.recipients()]
        data = serialise(email_message.message())
        try:
            options = self._options([sender, *recipients], data)
            refusals = self.connection.sendmail(sender, recipients, data, options)
        except smtplib.SMTPRecipientsRefused as error:
            self.refused.append((email_message, dict(error.recipients)))
            return self._failed(error)
        except OSError as error:
            return self._failed(error)
        if refusals:
            self.refused.append((email_message, refusals))
        return True

    def _options(self, addresses: list[str], data: bytes) -> tuple[str, ...]:
        """Options of ``MAIL FROM`` that this message needs, of those that the server offers."""
        if self.connection is None:
            raise smtplib.SMTPServerDisconnected("please connect first")
        non_ascii = [address for address in addresses if not address.isascii()]
        if data.isascii() and not non_ascii:
            return ()
        self.connection.ehlo_or_helo_if_needed()
        options = []
        if non_ascii:
            if not self.connection.has_extn("smtputf8"):
                raise AddressNotSupportedError(
                    f"{self.host} does not offer SMTPUTF8 (RFC 6531), which the address "
                    f"{non_ascii[0]!r} needs"
                )
            options.append("SMTPUTF8")
        if self.connection.has_extn("8bitmime"):
            options.append("BODY=8BITMIME")
        return tuple(options)

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
        if isinstance(error, smtplib.SMTPResponseException) and error.smtp_code == CLOSING:
            return True
        return getattr(self.connection, "sock", True) is None

    def _drop(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()


def _say_goodbye(connection: Any) -> None:
    try:
        connection.quit()
    except OSError:
        with contextlib.suppress(OSError):
            connection.close()
