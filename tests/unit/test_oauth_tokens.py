"""Token endpoint's answers, the life of a token, what can be configured, and that nothing leaks."""

import base64
import json
import pickle
import smtplib
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailqueue.backends.smtp import EmailBackend
from mailqueue.errors import ConfigurationError, MailQueueError
from mailqueue.outcomes import Stage
from mailqueue.routing.route import OAuth
from mailqueue.smtp.oauth import TokenRefusedError, TokenUnavailableError, understand
from mailqueue.smtp.oauth_options import checked, is_loopback
from mailqueue.smtp.token import Token
from mailqueue.smtp.token_cache import Tokens
from mailqueue.smtp.xoauth2 import initial_response
from worker.faults import fault_of_open
from worker.policy import Kind, classify

URL = "https://login.example.com/tenant/token"
OAUTH = OAuth(token_url=URL, client_id="client-1", client_secret="s3cr3t-s3cr3t")
NOW = 1_000_000.0


def answered(status: int = 200, **answer: Any) -> Token:
    return understand(OAUTH, status, json.dumps(answer).encode(), now=NOW)


def test_the_sasl_string_is_googles_own_example():
    # From Google's "XOAUTH2 Mechanism".
    said = initial_response("someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg")
    assert said == (
        "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNS"
        "bGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ=="
    )


def test_a_user_name_beyond_ascii_is_said_in_utf_8():
    assert "jörg".encode() in base64.b64decode(initial_response("jörg@example.com", "t"))


@pytest.mark.parametrize(
    ("expires_in", "refresh_in", "expires_after"),
    [
        (3600, 3540, 3600),
        ("3599", 3539, 3599),
        (100, 90, 100),
        (1.5, 1.35, 1.5),
        (None, 270, 300),
        ("soon", 270, 300),
        (0, 0, 0),
        (-5, 0, 0),
        ("nan", 0, 0),
        (1e300, 30 * 86_400 - 60, 30 * 86_400),
    ],
)
def test_a_token_is_replaced_before_it_expires(expires_in, refresh_in, expires_after):
    token = answered(access_token="abc", token_type="bearer", expires_in=expires_in)
    assert token.refresh_at == pytest.approx(NOW + refresh_in)
    assert token.expires_at == NOW + expires_after
    assert token.is_fresh(NOW + refresh_in - 0.01) or not refresh_in
    assert not token.is_fresh(NOW + refresh_in)
    assert token.is_valid(NOW + refresh_in) or not expires_after
    assert not token.is_valid(NOW + expires_after)


def test_the_newest_refresh_token_is_kept():
    asked = OAuth(token_url=URL, client_id="client-1", refresh_token="configured")

    def kept(answer: str, rotated: str = "", oauth: OAuth = asked) -> str:
        body = b'{"access_token": "abc"%s}' % answer.encode()
        return understand(oauth, 200, body, now=NOW, rotated=rotated).refresh_token

    assert kept("") == ""
    assert kept("", "one") == "one"
    assert kept(', "refresh_token": "two"', "one") == "two"
    # Who has credentials of its own goes on with them.
    assert kept(', "refresh_token": "two"', oauth=OAUTH) == ""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>log in to the hotel's network</html>",
        b"null",
        b"[]",
        b'"abc"',
        b"{}",
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"x":' * 12_000,
        b'{"access_token": ""}',
        b'{"access_token": null}',
        b'{"access_token": 7}',
        b'{"access_token": "a b"}',
        b'{"access_token": "a\\u0001auth=Bearer b"}',
        b'{"access_token": "\\u00e4"}',
        b'{"access_token": "abc", "expires_in": true}',
        b'{"access_token": "abc", "padding": "%s"}' % (b"x" * 65_536),
    ],
)
def test_garbage_is_trouble_on_the_way(body):
    with pytest.raises(TokenUnavailableError, match="without an access token"):
        understand(OAUTH, 200, body, now=NOW)


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (400, {"error": "invalid_grant", "error_description": "AADSTS70008: expired"}),
        (401, {"error": "invalid_client"}),
        (400, {"error": "invalid_scope", "error_description": None}),
        (200, {"error": "invalid_grant"}),
        (403, {}),
        (404, {}),
        (302, {}),
        (200, {"access_token": "abc", "token_type": "mac"}),
    ],
)
def test_a_refusal_counts_as_a_failed_login(status, answer):
    with pytest.raises(TokenRefusedError) as caught:
        answered(status, **answer)
    error = caught.value
    assert isinstance(error, smtplib.SMTPAuthenticationError)
    assert isinstance(error, MailQueueError)
    assert "login.example.com" in str(error)
    assert all(
        str(words) in str(error) for name, words in answer.items() if "err" in name and words
    )
    fault = fault_of_open(error)
    assert (fault.stage, fault.code) == (Stage.LOGIN, 535)
    assert classify(fault).kind is Kind.LOGIN
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (500, {}),
        (503, {"error": "invalid_client"}),
        (429, {}),
        (408, {}),
        (400, {"error": "temporarily_unavailable"}),
    ],
)
def test_what_passes_lets_mail_wait(status, answer):
    with pytest.raises(TokenUnavailableError) as caught:
        answered(status, **answer)
    assert isinstance(caught.value, ConnectionError)
    assert classify(fault_of_open(caught.value)).kind is Kind.AWAY


def check(given: Any = OAUTH, **more: Any) -> OAuth:
    around: dict[str, Any] = {
        "username": "ann@example.com",
        "host": "smtp.example.com",
        "encrypted": True,
    }
    return checked(given, **(around | more))


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.com/token",
        "ftp://127.0.0.1/token",
        "file:///etc/passwd",
        "https://",
        "https:///token",
        "login.example.com/token",
        "https://ann:hidden-word@login.example.com/token",
        "https://login.example.com/token#hidden-word",
        "https://login.example.com:hidden-word/token",
        "https://[hidden-word/token",
        "https://login.example.com/to ken",
        "https://login.example.com/to\nken",
        "https://login.exämple.com/token",
        "http://127.0.0.1.example.com/token",
        "http://localhost.example.com/token",
    ],
)
def test_secrets_go_nowhere_else(url):
    with pytest.raises(ConfigurationError, match="token_url") as caught:
        check({"token_url": url, "client_id": "c", "client_secret": "s"})
    assert "hidden-word" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert classify(fault_of_open(caught.value)).kind is Kind.LOGIN


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"token_url": URL}, "client_id"),
        ({"token_url": URL, "client_id": ""}, "client_id"),
        ({"token_url": URL, "client_id": "c"}, "client_secret, or refresh_token"),
        ({"token_url": URL, "client_id": "c", "client_secret": 12345678}, "client_secret"),
        ({"token_url": URL, "client_id": "c", "secret": "12345678"}, "secret"),
        ("12345678", "object"),
    ],
)
def test_a_wrong_configuration_is_said_at_once(given, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        check(given)
    assert "12345678" not in str(caught.value)


def test_the_connection_and_the_user_matter_as_well():
    assert check(encrypted=False, host="localhost") == OAUTH
    local = check({"token_url": "http://[::1]:8/t", "client_id": "c", "client_secret": "s"})
    assert local.token_url == "http://[::1]:8/t"
    with pytest.raises(ConfigurationError, match="use_tls"):
        check(encrypted=False)
    for username in ("", "ann\x01auth=Bearer x"):
        with pytest.raises(ConfigurationError, match="username"):
            check(username=username)
    with pytest.raises(ConfigurationError, match="use_tls"):
        EmailBackend(host="smtp.example.com", username="ann@example.com", oauth=OAUTH)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "example.com", "10.0.0.1", "0.0.0.0", "localhost.evil.com"])
def test_not_loopback(host):
    assert not is_loopback(host)


#: None of these is a word of ours, or part of one.
secret_texts = st.text("ÄÖ%+/= &\\\"'!" + string.digits, min_size=6, max_size=40).filter(
    lambda text: text == " ".join(text.split())
)


@given(secret_texts, secret_texts, secret_texts, st.sampled_from([200, 400, 401, 500]), st.data())
def test_no_secret_is_in_any_text(client_secret, refresh, rotated, status, data):
    oauth = OAuth(
        token_url=URL, client_id="client", client_secret=client_secret, refresh_token=refresh
    )
    secrets = [client_secret, refresh, rotated]
    words = st.lists(st.sampled_from([*secrets, "said", "  ", "\n"]), max_size=6).map(" ".join)
    answer = {"error": data.draw(words) or "no", "error_description": data.draw(words)}
    with pytest.raises((TokenRefusedError, TokenUnavailableError)) as caught:
        understand(oauth, status, json.dumps(answer).encode(), now=NOW, rotated=rotated)
    error = caught.value
    token = Token.of("t0k3n-" * 9, 60, now=NOW, refresh_token=rotated, origin=oauth.refresh_token)
    backend = EmailBackend(host="localhost", username="ann@example.com", oauth=oauth)
    texts = [str(error), repr(error), str(fault_of_open(error)), repr(oauth), repr(token)]
    texts += [repr(Tokens(oauth, "ann@example.com")), repr(backend), repr(vars(backend))]
    for text in texts:
        assert not any(secret in text for secret in secrets)
        assert "t0k3n-" not in text
    assert error.__cause__ is None
