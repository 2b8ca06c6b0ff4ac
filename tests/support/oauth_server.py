"""A token endpoint (RFC 6749), and an SMTP server that takes its tokens: both local and real."""

import asyncio
import base64
import collections
import http.server
import json
import secrets
import ssl
import threading
import time
from typing import Any, Final, Self
from urllib.parse import parse_qsl

from aiosmtpd.smtp import AuthResult, _AuthMechAttr

from support.smtp import SmtpServer

USER: Final = "sender@example.com"
CLIENT: Final = "client-1"
#: With letters that a form has to write otherwise.
SECRET: Final = "s3cr3t/with+signs&such="
FIRST_REFRESH: Final = "refresh-0-configured"


class TokenServer:
    """Gives tokens to those who know ``SECRET``, or hold the refresh token that is good now.

    Attributes:
        forms: Every request's form, in order.
        expires_in: What answers promise, in seconds; None leaves it out.
        lives: Seconds that tokens are really good for; None: as promised.
        rotates: Whether each answer to a refresh token brings a new one and ends the old one.
        raw: Status, headers and body to answer with instead.
        delay: Seconds before each answer.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.forms: list[dict[str, str]] = []
        self.expires_in: float | str | None = 3600
        self.lives: float | None = None
        self.rotates = False
        self.raw: tuple[int, dict[str, str], bytes] | None = None
        self.delay = 0.0
        self.refresh_token = FIRST_REFRESH
        self.said: set[str] = {SECRET, FIRST_REFRESH}
        self._good_until: dict[str, float] = {}
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                owner._serve(self)

            def log_message(self, *_: Any) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}/token"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def oauth(self, **more: str) -> dict[str, Any]:
        """The configuration of a client that is known here."""
        return {"token_url": self.url, "client_id": CLIENT, "client_secret": SECRET} | more

    def is_good(self, token: str) -> bool:
        return self._good_until.get(token, 0) > time.monotonic()

    def revoke_all(self) -> None:
        """End all access tokens before their time; who holds one is not told."""
        self._good_until.clear()

    def _serve(self, request: http.server.BaseHTTPRequestHandler) -> None:
        assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
        length = int(request.headers["Content-Length"])
        form = dict(parse_qsl(request.rfile.read(length).decode(), strict_parsing=True))
        self.forms.append(form)
        time.sleep(self.delay)
        status, headers, body = self.raw or self._answer(form)
        try:
            request.send_response(status)
            for name, value in headers.items():
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(body)
        except OSError:
            pass  # nobody waits any more

    def _answer(self, form: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        if (form["client_id"], form.get("client_secret")) != (CLIENT, SECRET):
            # An endpoint without tact: what it was sent is in what it says.
            return _json(401, error="invalid_client", error_description=f"not with {form}")
        answer: dict[str, Any] = {"access_token": self._new_token(), "token_type": "Bearer"}
        answer |= {} if self.expires_in is None else {"expires_in": self.expires_in}
        if form["grant_type"] == "refresh_token":
            if form["refresh_token"] != self.refresh_token:
                return _json(400, error="invalid_grant", error_description=f"not with {form}")
            if self.rotates:
                self.refresh_token = answer["refresh_token"] = f"refresh-{secrets.token_hex(8)}"
                self.said.add(self.refresh_token)
        elif form["grant_type"] != "client_credentials":
            return _json(400, error="unsupported_grant_type")
        return _json(200, **answer)

    def _new_token(self) -> str:
        token = secrets.token_urlsafe(1100)  # as long as Microsoft's
        self.said.add(token)
        promised = 300 if self.expires_in is None else float(self.expires_in)
        self._good_until[token] = time.monotonic() + (
            promised if self.lives is None else self.lives
        )
        return token


def _json(status: int, **answer: Any) -> tuple[int, dict[str, str], bytes]:
    return status, {"Content-Type": "application/json"}, json.dumps(answer).encode()


class XoauthServer(SmtpServer):
    """Lets in whom a ``TokenServer`` gave a token that is good, and for as long as it is.

    Args:
        tokens: Whose tokens these are.
        challenges: Whether refusals come as 334 with JSON, as Gmail's do, or as 535 at once.
        at_expiry: What MAIL is answered with when the session's token has expired.
        longest_line: Octets of an AUTH command.

    Attributes:
        logins: The token of each login that was tried, or what was wrong with it.
        answers: What clients said to a challenge.
    """

    def __init__(
        self,
        tokens: TokenServer,
        *,
        challenges: bool = True,
        at_expiry: str = "421 4.7.0 the session has expired",
        longest_line: int = 12_288,
        **options: Any,
    ) -> None:
        super().__init__(**({"auth_required": True} | options))
        self.tokens = tokens
        self.challenges = challenges
        self.longest_line = longest_line
        self.logins: list[str] = []
        self.answers: list[bytes] = []
        self.holders: dict[int, str] = {}
        self.script = self._ends_with_its_token
        self._at_expiry = at_expiry

    def session(self, number: int) -> Any:
        server: Any = super().session(number)
        server._stream_reader._limit = 16_384  # what aiosmtpd reads as one line, of any kind
        server.command_size_limits = collections.defaultdict(lambda: 512, AUTH=self.longest_line)
        server._auth_methods = {
            "PLAIN": _AuthMechAttr(self._take_any, False),  # to lead clients astray
            "XOAUTH2": _AuthMechAttr(lambda peer, args: self._check(peer, args, number), False),
        }
        return server

    async def _take_any(self, peer: Any, args: list[str]) -> AuthResult:
        self.logins.append("PLAIN")
        return AuthResult(success=True)

    def _ends_with_its_token(self, verb: str, argument: str, number: int) -> str | None:
        if verb != "MAIL" or self.tokens.is_good(self.holders[number]):
            return None
        return self._at_expiry

    async def _check(self, peer: Any, args: list[str], number: int) -> AuthResult:
        said = args[1].encode() if len(args) > 1 else await _asked(peer, "334 ")
        token = self._token_in(base64.b64decode(said, validate=True))
        self.logins.append(token)
        if self.tokens.is_good(token):
            self.holders[number] = token
            return AuthResult(success=True)
        if self.challenges:
            error = b'{"status":"401","schemes":"bearer","scope":"https://mail.google.com/"}'
            self.answers.append(await _asked(peer, f"334 {base64.b64encode(error).decode()}"))
        return AuthResult(success=False, handled=False, message=f"535 5.7.8 not accepted: {token}")

    def _token_in(self, said: bytes) -> str:
        beginning, end = f"user={USER}\x01auth=Bearer ".encode(), b"\x01\x01"
        if not (said.startswith(beginning) and said.endswith(end)):
            return f"malformed: {said!r}"
        return said[len(beginning) : -len(end)].decode()


async def _asked(peer: Any, challenge: str) -> bytes:
    await peer.push(challenge)
    line = await asyncio.wait_for(peer._reader.readline(), 10)
    return bytes(line).rstrip(b"\r\n")
