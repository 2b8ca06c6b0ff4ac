"""An SMTP connection by the settings: made, secured, logged in, closed.

- Certificates and host names are always verified; a client certificate comes on top of that.
- A connection counts as open only after STARTTLS and login went through. Until then it is kept
  apart and given up on any failure, so that nothing is ever sent on a half-open one, silently or
  not.
- With ``oauth`` an access token is the only way to log in (``xoauth2.py``): never a password.
"""

import contextlib
import smtplib
import ssl
import threading
from functools import cached_property
from typing import Any, Final

from mailqueue.backends.base import BaseEmailBackend
from mailqueue.conf import get_settings
from mailqueue.routing.route import OAuth
from mailqueue.smtp import observing
from mailqueue.utils import DNS_NAME

#: Seconds for a server to close a connection to which it has said goodbye.
_FAREWELL: Final = 1.0


class SmtpConnection(BaseEmailBackend):
    """The half of the SMTP backend that opens and closes.

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
        oauth: Where ``username``'s access tokens come from, in place of a password.
        **kwargs: Ignored.

    Raises:
        ValueError: Both ``use_tls`` and ``use_ssl`` are set.
        ConfigurationError: ``oauth`` cannot work like this.
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
        oauth: OAuth | dict[str, Any] | None = None,
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
        self._token_login = None if oauth is None else self._made_token_login(oauth)
        self.connection: Any = None
        self._partial_connection: Any = None
        # For whoever speaks on the connection: one message's dialogue at a time.
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
        try:
            with observing.opening():
                if self._token_login is not None:
                    self._token_login.log_in(self._begin)
                else:
                    client = self._begin()
                    if self.username and self.password:
                        client.login(self.username, self.password)
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

    def _made_token_login(self, given: OAuth | dict[str, Any]) -> Any:
        # Few need it, and it loads an HTTP client.
        from mailqueue.smtp.oauth_options import checked  # noqa: PLC0415
        from mailqueue.smtp.xoauth2 import TokenLogin  # noqa: PLC0415

        encrypted = bool(self.use_tls or self.use_ssl)
        oauth = checked(given, username=self.username, host=self.host, encrypted=encrypted)
        return TokenLogin(oauth, self.username)

    def _begin(self) -> smtplib.SMTP:
        """Connect and secure; the connection is a partial one until somebody is logged in."""
        self._forget_partial()
        client = self._partial_connection = self._connect()
        if self.use_tls:
            client.starttls(context=self.ssl_context)
        return client

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

    def _drop(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()


def _say_goodbye(connection: Any) -> None:
    """QUIT; done when the server has closed its side, too (RFC 5321, section 4.1.1.10).

    Until then it counts the connection, and may refuse the next one as one too many.
    """
    sock = getattr(connection, "sock", None)
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.suppress(OSError))
        # While somebody may still read from it, quit() does not close it really.
        rest = sock.makefile("rb", buffering=0) if sock else None
        if rest is not None:
            stack.callback(rest.close)
        try:
            connection.quit()
        except OSError:
            connection.close()
            return
        if sock is not None and rest is not None:
            sock.settimeout(_FAREWELL)
            rest.read(1)
