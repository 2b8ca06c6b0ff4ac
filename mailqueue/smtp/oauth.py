"""Access tokens from an OAuth 2.0 token endpoint (RFC 6749), by one POST of a form.

- Two grants: by a refresh token (section 6) where one is configured, else by the client's own
  credentials (section 4.4).
- Over verified TLS only, save for a loopback address. A redirect is not followed: it would carry
  the secrets to another place.
- An answer takes 10 s at most, whatever the network does, and 64 KiB.
- No error text holds a secret, also where the endpoint repeats what it was sent.
"""

import http.client
import smtplib
import ssl
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import Future
from typing import Any, Final
from urllib.parse import quote, quote_plus, urlencode, urlsplit

import msgspec

from mailqueue.errors import MailQueueError
from mailqueue.routing.route import OAuth
from mailqueue.smtp.oauth_options import is_loopback
from mailqueue.smtp.token import Token

#: Seconds until an answer must be there as a whole.
TIMEOUT: Final = 10.0
#: Octets of an answer; real ones have a few thousand.
_LARGEST: Final = 64 * 1024
#: Characters of an endpoint's own words in an error.
_LONGEST_TEXT: Final = 300
#: As SMTP would say it (RFC 4954, section 6).
_NOT_LET_IN: Final = 535
#: Time-out, too early, too many: the same request may go through later.
_LATER: Final = frozenset({408, 425, 429})
#: RFC 6749, 4.1.2.1, and RFC 8628, 3.5; some endpoints say so with a 400.
_LATER_ERRORS: Final = frozenset({"server_error", "temporarily_unavailable", "slow_down"})


class TokenUnavailableError(MailQueueError, ConnectionError):
    """The token endpoint gave no usable answer: trouble on the way, which time heals."""


class TokenRefusedError(MailQueueError, smtplib.SMTPAuthenticationError):
    """The token endpoint refused: a person has to see to the client, its secret or its grant.

    As much a failed login as a reply 535 to AUTH, and treated alike.
    """

    def __str__(self) -> str:
        text = self.smtp_error
        return text.decode("utf-8", "replace") if isinstance(text, bytes) else text


class _Answer(msgspec.Struct):
    """What is read of an answer (RFC 6749, 5.1 and 5.2)."""

    access_token: str | None = None
    token_type: str | None = None
    expires_in: float | str | None = None
    refresh_token: str | None = None
    error: str | None = None
    error_description: str | None = None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing; the redirect itself becomes the answer."""


def fetch(oauth: OAuth, rotated: str = "") -> Token:
    """Ask for a token.

    Args:
        oauth: Where, and as whom.
        rotated: The refresh token that the endpoint gave last, in place of the configured one.

    Raises:
        TokenUnavailableError: No usable answer within 10 s.
        TokenRefusedError: The endpoint said no.
    """
    refresh_token = rotated or oauth.refresh_token
    form = {"grant_type": "refresh_token" if refresh_token else "client_credentials"}
    form["client_id"] = oauth.client_id
    optional = {
        "client_secret": oauth.client_secret,
        "refresh_token": refresh_token,
        "scope": oauth.scope,
    }
    form |= {name: value for name, value in optional.items() if value}
    # Before the question: the time that the answer takes is part of the token's life.
    now = time.time()
    status, body = _post_in_time(oauth, form)
    return understand(oauth, status, body, now=now, rotated=rotated)


def understand(oauth: OAuth, status: int, body: bytes, *, now: float, rotated: str = "") -> Token:
    """Read an answer. Pure; ``fetch()`` says what it raises.

    Args:
        oauth: What was asked with.
        status: The HTTP status.
        body: The answer.
        now: Seconds since the epoch at which it was asked for.
        rotated: As for ``fetch()``; stays valid where the answer brings no other.
    """
    host = _name(oauth)
    answer = _decoded(body)
    if status // 100 == 2 and not answer.error:  # noqa: PLR2004
        if (answer.token_type or "bearer").lower() != "bearer":
            raise TokenRefusedError(_NOT_LET_IN, f"{host} gives tokens of another type than Bearer")
        token = Token.of(
            answer.access_token or "",
            answer.expires_in,
            now=now,
            # The client's own credentials need none (section 4.4.3), and do not expire like one.
            refresh_token=(answer.refresh_token or rotated) if oauth.refresh_token else "",
            origin=oauth.refresh_token,
        )
        if token is None:
            raise TokenUnavailableError(f"{host} answered {status} without an access token")
        return token
    words = ": ".join(one for one in (answer.error, answer.error_description) if one)
    secrets = (rotated, answer.access_token, answer.refresh_token)
    text = f"{host} answered {status} {_cleaned(words, oauth, *secrets)}".rstrip()
    if status // 100 == 5 or status in _LATER or answer.error in _LATER_ERRORS:  # noqa: PLR2004
        raise TokenUnavailableError(text)
    raise TokenRefusedError(_NOT_LET_IN, text)


def _name(oauth: OAuth) -> str:
    return f"the token endpoint at {urlsplit(oauth.token_url).hostname}"


def _decoded(body: bytes) -> _Answer:
    """The answer; an empty one for anything that is none."""
    try:
        return msgspec.json.decode(body, type=_Answer) if len(body) <= _LARGEST else _Answer()
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _Answer()


def _cleaned(words: str, oauth: OAuth, *others: str | None) -> str:
    """An endpoint's words on one line, without secrets as they are or as a form writes them."""
    secrets = [one for one in (oauth.client_secret, oauth.refresh_token, *others) if one]
    forms = {form for one in secrets for form in (one, quote(one, safe=""), quote_plus(one))}
    for _ in range(2):  # once more, for secrets that come about when spaces are joined
        for form in sorted(forms, key=len, reverse=True):
            words = words.replace(form, "***")
        words = " ".join("".join(c if c.isprintable() else " " for c in words).split())
    return words[:_LONGEST_TEXT]


def _post_in_time(oauth: OAuth, form: dict[str, str]) -> tuple[int, bytes]:
    """POST; a time-out of a socket bounds each wait on it, but neither their sum nor DNS."""
    answer: Future[tuple[int, bytes]] = Future()

    def run() -> None:
        try:
            answer.set_result(_post(oauth.token_url, form))
        except BaseException as error:  # noqa: BLE001 - raised where the answer is waited for
            answer.set_exception(error)

    host = _name(oauth)
    threading.Thread(target=run, name="mailqueue-oauth", daemon=True).start()
    try:
        return answer.result(TIMEOUT)
    except TimeoutError:
        raise TokenUnavailableError(f"no answer from {host} within {TIMEOUT:.0f} s") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        text = _cleaned(f"{type(reason).__name__}: {reason}", oauth, form.get("refresh_token"))
        raise TokenUnavailableError(f"no answer from {host}: {text}") from None


def _post(url: str, form: dict[str, str]) -> tuple[int, bytes]:
    handlers: list[Any] = [
        _NoRedirect(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
    ]
    if is_loopback(urlsplit(url).hostname or ""):
        handlers.append(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(  # noqa: S310 - oauth_options lets no other scheme through
        url, urlencode(form).encode(), {"Accept": "application/json"}
    )
    try:
        answer = urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:  # any status but 2xx
        answer = error
    with answer:
        return answer.code, answer.read(_LARGEST + 1)
