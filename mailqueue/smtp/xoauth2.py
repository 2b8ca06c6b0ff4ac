"""AUTH XOAUTH2: logging in with an access token, as Gmail and Microsoft 365 take it.

Neither is an RFC. Google's "XOAUTH2 Mechanism" defines it, and Microsoft's "Authenticate an IMAP,
POP or SMTP connection using OAuth" follows it:

    C: AUTH XOAUTH2 base64("user=" name "^Aauth=Bearer " token "^A^A")
    S: 235 …

A refusal comes as 535, or as 334 with JSON about the error, which is answered with an empty line;
the reply follows that.
"""

import base64
import smtplib
from collections.abc import Callable
from typing import Final

from mailqueue.routing.route import OAuth
from mailqueue.smtp.token_cache import tokens_for

_YES: Final = 235
_CHALLENGE: Final = 334
_NO: Final = 535
#: Not logged in, or not any more (RFC 4954, section 6).
_LOGIN_NEEDED: Final = frozenset({530, _NO})
_NOT_UNDERSTOOD: Final = 500  # also: line too long (RFC 5321, section 4.5.3.1.9)


def initial_response(username: str, token: str) -> str:
    r"""Return the SASL string, encoded.

    >>> base64.b64decode(initial_response("ann@example.com", "abc"))
    b'user=ann@example.com\x01auth=Bearer abc\x01\x01'
    """
    return base64.b64encode(f"user={username}\x01auth=Bearer {token}\x01\x01".encode()).decode()


def login(client: smtplib.SMTP, username: str, token: str) -> None:
    """Log in.

    Raises:
        SMTPNotSupportedError: The server does not offer XOAUTH2.
        SMTPAuthenticationError: It does not let us in; the token is not in its text.
        OSError: The connection broke.
    """
    client.ehlo_or_helo_if_needed()
    if "XOAUTH2" not in client.esmtp_features.get("auth", "").upper().split():
        raise smtplib.SMTPNotSupportedError("The server does not offer AUTH XOAUTH2")
    response = initial_response(username, token)
    code, text = client.docmd("AUTH", f"XOAUTH2 {response}")
    if code == _NOT_UNDERSTOOD:
        # Tokens are long, and a command's line is not where a server may have to take that much
        # (RFC 4954, section 4): on a line of its own then.
        code, text = client.docmd("AUTH", "XOAUTH2")
        if code == _CHALLENGE:
            code, text = client.docmd(response)
    if code == _CHALLENGE:
        code, text = client.docmd("")
    if code == _YES:
        return
    for secret in (response, token):
        text = text.replace(secret.encode(), b"***")
    raise smtplib.SMTPAuthenticationError(_NO if code == _CHALLENGE else code, text)


class TokenLogin:
    """Logs one backend's connections in.

    Args:
        oauth: Where the tokens come from, checked.
        username: Whose account it is.
    """

    def __init__(self, oauth: OAuth, username: str) -> None:
        self._tokens = tokens_for(oauth, username)
        self._username = username
        self._token = ""

    def log_in(self, connect: Callable[[], smtplib.SMTP]) -> None:
        """Connect and log in; once more, with a fresh token, where one is not taken.

        A token can end before its time: it was revoked, or a password was changed. The second try
        is on a connection of its own, since some servers end or slow down the first one.

        Args:
            connect: Makes a new connection, and gives the one before up.

        Raises:
            OSError: No token, no connection, or no login.
        """
        for is_last in (False, True):
            # Before connecting: no server is kept waiting while a token is fetched.
            self._token = self._tokens.get()
            try:
                login(connect(), self._username, self._token)
            except smtplib.SMTPAuthenticationError as error:
                if error.smtp_code // 100 != 5:  # noqa: PLR2004 - the server cannot tell now
                    raise
                self._tokens.forget(self._token)
                if is_last:
                    raise
            else:
                return

    def is_over(self, code: int) -> bool:
        """Whether a reply in mid-session says that a new login is needed; its token is forgotten.

        Such a session is of no more use, though the server may keep it open.
        """
        if code not in _LOGIN_NEEDED:
            return False
        self._tokens.forget(self._token)
        return True
