"""Logging in with access tokens, from the token endpoint to the mail that arrived."""

import functools
import json
import logging
import multiprocessing
import os
import smtplib
import ssl
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import trustme
from support.oauth_server import FIRST_REFRESH, SECRET, USER, TokenServer, XoauthServer
from support.processes import environment
from support.raw_smtp import HANG_UP, RawSmtp, greeting

from mailqueue.backends.smtp import EmailBackend
from mailqueue.message import EmailMessage
from mailqueue.routing.route import OAuth
from mailqueue.smtp import oauth as oauth_module
from mailqueue.smtp import token_cache
from mailqueue.smtp.oauth import TokenRefusedError, TokenUnavailableError, fetch
from mailqueue.smtp.token_cache import Tokens
from worker.faults import fault_of_open
from worker.policy import Kind, classify

HOST = "127.0.0.1"


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """Where tokens are kept: the test's own place, and nothing in memory."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(token_cache, "_all", {})
    return tmp_path / "state" / "mailqueue" / "oauth"


@pytest.fixture(autouse=True)
def _nothing_leaks(tokens, caplog, capfd):
    caplog.set_level(logging.DEBUG, logger="mailqueue")
    yield
    shown = caplog.text + "".join(capfd.readouterr())
    assert not [secret for secret in tokens.said if secret in shown]


@pytest.fixture
def tokens():
    with TokenServer() as server:
        yield server


@pytest.fixture
def server(tokens):
    with XoauthServer(tokens, auth_require_tls=False) as running:
        yield running


def forget_memory():
    token_cache._all.clear()


def context_for(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def mail(subject="Subject"):
    return EmailMessage(subject, "hello", "me@example.com", ["ann@example.com"])


def backend(server, tokens, **given: Any) -> EmailBackend:
    oauth = given.pop("oauth", None) or tokens.oauth()
    # A password that is there is no reason to use it.
    account = {"username": USER, "password": "hunter2", "oauth": oauth}
    return EmailBackend(host=HOST, port=server.port, timeout=10, **(account | given))


def cache(tokens, **more: Any) -> Tokens:
    return Tokens(OAuth(**tokens.oauth(**more)), USER)


def kind_of(error):
    return classify(fault_of_open(error)).kind


@pytest.mark.parametrize("kind", ["starttls", "implicit"])
def test_over_tls_from_end_to_end(kind, tmp_path, monkeypatch):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = context_for(authority.issue_cert(HOST))
    tls = {"tls_context": context, "require_starttls": True}
    with TokenServer(context) as tokens:
        smtp = XoauthServer(tokens, **(tls if kind == "starttls" else {"auth_require_tls": False}))
        if kind == "implicit":
            loop: Any = smtp._loop
            loop.create_server = functools.partial(loop.create_server, ssl=context)
        flags = {"use_tls": True} if kind == "starttls" else {"use_ssl": True}
        with smtp:
            connection = backend(smtp, tokens, **flags)
            assert connection.send_messages([mail(), mail()]) == 2
            assert connection.send_messages([mail()]) == 1
        assert len(smtp.received) == 3
        assert len(tokens.forms) == 1
        assert len(smtp.logins) == 2
        assert tokens.forms[0] == {
            "grant_type": "client_credentials",
            "client_id": "client-1",
            "client_secret": SECRET,
        }


def test_the_endpoints_certificate_is_verified():
    with TokenServer(context_for(trustme.CA().issue_cert(HOST))) as tokens:
        with pytest.raises(TokenUnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
            cache(tokens).get()
        assert tokens.forms == []


def test_the_scope_is_asked_for(tokens):
    cache(tokens, scope="https://outlook.office365.com/.default").get()
    assert tokens.forms[0]["scope"] == "https://outlook.office365.com/.default"


def test_a_server_with_short_lines_gets_the_token_on_a_line_of_its_own(tokens):
    with XoauthServer(tokens, auth_require_tls=False, longest_line=512) as server:
        assert backend(server, tokens).send_messages([mail()]) == 1


@pytest.mark.parametrize("challenges", [True, False])
def test_a_revoked_token_is_replaced_at_once(tokens, challenges):
    with XoauthServer(tokens, auth_require_tls=False, challenges=challenges) as server:
        connection = backend(server, tokens)
        connection.send_messages([mail()])
        tokens.revoke_all()
        assert connection.send_messages([mail()]) == 1
    assert len(tokens.forms) == 2
    assert server.logins[0] == server.logins[1] != server.logins[2]
    assert server.answers == [b""] * challenges
    assert "PLAIN" not in server.logins


@pytest.mark.parametrize("challenges", [True, False])
def test_a_server_that_takes_no_token_pauses_the_route(tokens, challenges):
    tokens.lives = 0
    with XoauthServer(tokens, auth_require_tls=False, challenges=challenges) as server:
        connection = backend(server, tokens)
        with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
            connection.open()
        assert connection.connection is None
        connection.close()
        assert backend(server, tokens, fail_silently=True).open() is None
    assert caught.value.smtp_code == 535
    assert kind_of(caught.value) is Kind.LOGIN
    assert not [secret for secret in tokens.said if secret in repr(caught.value)]
    assert len(set(server.logins)) == 4 == len(tokens.forms)  # two openings of two tries each


def test_a_server_that_cannot_tell_now_costs_no_token(tokens):
    login = ("AUTH XOAUTH2 ", b"454 4.7.0 try later\r\n")
    with RawSmtp([*greeting("AUTH PLAIN XOAUTH2"), login]) as server:
        connection = backend(server, tokens)
        with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
            connection.open()
        connection.close()
    assert kind_of(caught.value) is Kind.AWAY
    assert len(tokens.forms) == 1


def test_a_connection_that_ends_with_the_refusal_is_no_obstacle(tokens):
    begin = greeting("AUTH XOAUTH2")
    refused = [*begin, ("AUTH", b"334 e30=\r\n"), ("", HANG_UP)]
    denied = [*begin, ("AUTH", b"535 5.7.3 no\r\n"), ("QUIT", HANG_UP)]
    with RawSmtp(denied, [*begin, ("AUTH", b"235 ok\r\n")], refused) as server:
        connection = backend(server, tokens)
        assert connection.open()
        connection.close()
        with pytest.raises(smtplib.SMTPServerDisconnected):
            connection.open()
        connection.close()
    assert len(tokens.forms) == 2


def test_without_the_offer_nothing_secret_is_said(tokens):
    with RawSmtp(greeting("AUTH PLAIN LOGIN")) as server:
        connection = backend(server, tokens)
        with pytest.raises(smtplib.SMTPNotSupportedError, match="AUTH XOAUTH2") as caught:
            connection.open()
        connection.close()
    assert kind_of(caught.value) is Kind.LOGIN


@pytest.mark.parametrize(
    ("at_expiry", "revoked"),
    [
        ("421 4.7.0 the session has expired", False),
        ("421 4.7.0 the session has expired", True),
        ("530 5.7.57 client not authenticated", True),
        ("535 5.7.3 authentication unsuccessful", True),
        ("close", True),
    ],
)
def test_a_token_that_expires_in_mid_batch(tokens, at_expiry, revoked):
    if not revoked:
        tokens.expires_in = 1.0
    batch = [mail(str(number)) for number in range(4)]

    def messages():
        yield from batch[:2]
        if revoked:
            tokens.revoke_all()
        else:
            time.sleep(1.1)
            tokens.expires_in = 3600
        yield from batch[2:]

    with XoauthServer(tokens, auth_require_tls=False, at_expiry=at_expiry) as server:
        connection = backend(server, tokens)
        connection.open()
        attempts = list(connection.deliver_messages(messages()))
        assert [attempt.taken for attempt in attempts] == [True, True, False]
        fault = attempts[-1].fault
        assert fault
        assert fault.lost
        assert not attempts[-1].unknown
        assert connection.open() is True
        attempts = list(connection.deliver_messages(batch[2:]))
        assert all(attempt.taken for attempt in attempts)
        connection.close()
    assert len(server.received) == 4
    assert len(tokens.forms) == 2
    # One that is known to be of no more use is not tried again.
    retried = revoked and at_expiry[:3] not in {"530", "535"}
    assert len(server.logins) == 2 + retried


def test_djangos_way_of_sending_gets_over_an_expired_session(tokens):
    with XoauthServer(
        tokens, auth_require_tls=False, at_expiry="530 5.7.57 not any more"
    ) as server:
        connection = backend(server, tokens, fail_silently=True)
        connection.open()
        tokens.revoke_all()
        assert connection.send_messages([mail(), mail()]) == 1
        assert len(tokens.forms) == 2


def test_a_rotated_refresh_token_is_used_and_outlives_the_process(tokens, server):
    tokens.rotates, tokens.expires_in, tokens.lives = True, 0, 60
    oauth = tokens.oauth(refresh_token=FIRST_REFRESH)
    for _ in range(3):
        backend(server, tokens, oauth=oauth).open()
        forget_memory()
    used = [form["refresh_token"] for form in tokens.forms]
    assert used[0] == FIRST_REFRESH
    assert len(set(used)) == 3
    assert {form["grant_type"] for form in tokens.forms} == {"refresh_token"}


def test_a_refresh_token_that_is_set_anew_replaces_the_old_ones_heirs(tokens):
    tokens.rotates = True
    cache(tokens, refresh_token=FIRST_REFRESH).get()
    tokens.refresh_token = "a-new-consent"
    cache(tokens, refresh_token="a-new-consent").get()
    assert [form["refresh_token"] for form in tokens.forms] == [FIRST_REFRESH, "a-new-consent"]


@pytest.mark.parametrize("wrong", [{"client_secret": "wr0ng-s3cr3t"}, {"refresh_token": "st4le"}])
def test_a_refusing_endpoint_pauses_the_route_and_says_why_without_secrets(tokens, server, wrong):
    with pytest.raises(TokenRefusedError, match=r"invalid_client|invalid_grant") as caught:
        backend(server, tokens, oauth=tokens.oauth(**wrong)).open()
    assert kind_of(caught.value) is Kind.LOGIN
    assert "not with" in str(caught.value)
    for secret in (SECRET, "wr0ng", "st4le"):
        assert secret not in repr(caught.value)
    assert server.connections == 0


@pytest.mark.parametrize("status", [500, 503, 200])
def test_an_endpoint_in_trouble_lets_mail_wait(tokens, server, status):
    tokens.raw = (status, {}, b"<html>trouble</html>")
    connection = backend(server, tokens)
    with pytest.raises(TokenUnavailableError) as caught:
        connection.open()
    assert kind_of(caught.value) is Kind.AWAY
    assert backend(server, tokens, fail_silently=True).send_messages([mail()]) == 0
    tokens.raw = None
    assert connection.send_messages([mail()]) == 1


def test_an_endpoint_that_is_not_there_lets_mail_wait():
    with TokenServer() as gone:
        pass
    with pytest.raises(TokenUnavailableError, match="ConnectionRefusedError") as caught:
        cache(gone).get()
    assert kind_of(caught.value) is Kind.AWAY


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_secrets_follow_no_redirect(tokens, status):
    with TokenServer() as elsewhere:
        tokens.raw = (status, {"Location": elsewhere.url}, b"")
        with pytest.raises(TokenRefusedError, match=str(status)):
            cache(tokens).get()
        assert elsewhere.forms == []


def test_no_proxy_stands_before_a_loopback_address(tokens, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert tokens.is_good(cache(tokens).get())


def test_an_answer_has_its_time_as_a_whole(tokens, monkeypatch):
    monkeypatch.setattr(oauth_module, "TIMEOUT", 0.3)
    tokens.delay = 1
    begun = time.monotonic()
    with pytest.raises(TokenUnavailableError, match=r"no answer from .* at 127\.0\.0\.1"):
        fetch(OAuth(**tokens.oauth()))
    assert time.monotonic() - begun < 0.9


def test_an_old_token_serves_while_its_endpoint_is_away(tokens):
    now = time.time()
    account = Tokens(OAuth(**tokens.oauth()), USER, clock=lambda: now)
    first = account.get()
    tokens.raw = (503, {}, b"")
    now += 3570  # due for renewal, not expired
    assert account.get() == first
    now += 40
    with pytest.raises(TokenUnavailableError):
        account.get()
    tokens.raw = None
    assert account.get() != first


def test_threads_fetch_once(tokens):
    tokens.delay = 0.2
    account = cache(tokens)
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: account.get(), range(8)))
    assert len(found) == len(tokens.forms) == 1


def test_processes_fetch_once(tokens):
    tokens.delay = 0.5
    code = (
        "import json, os\n"
        "from mailqueue.routing.route import OAuth\n"
        "from mailqueue.smtp.token_cache import tokens_for\n"
        "tokens_for(OAuth(**json.loads(os.environ['GIVEN'])), 'sender@example.com').get()\n"
    )
    given = environment({"GIVEN": json.dumps(tokens.oauth())})
    running = [subprocess.Popen([sys.executable, "-c", code], env=given) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert len(tokens.forms) == 1
    # And the next process, later, not at all.
    assert tokens.is_good(cache(tokens).get())
    assert len(tokens.forms) == 1


def test_a_process_that_waits_too_long_says_so(tokens, monkeypatch):
    monkeypatch.setattr(token_cache, "_PATIENCE", 0.1)
    holder = cache(tokens)
    fd = holder._file.lock(0)
    with pytest.raises(TokenUnavailableError, match="somebody else"):
        cache(tokens).get()
    holder._file.unlock(fd)
    assert cache(tokens).get()


def test_a_token_that_another_process_replaced_is_not_fetched_again(tokens):
    mine, other = cache(tokens), cache(tokens)
    old = mine.get()
    assert other.get() == old
    for account in (mine, other):
        account.forget(old)
    assert mine.get() == other.get() != old
    assert len(tokens.forms) == 2


def test_a_fork_while_a_thread_fetches(tokens):
    tokens.delay = 0.7
    given = OAuth(**tokens.oauth())
    thread = threading.Thread(target=token_cache.tokens_for(given, USER).get)
    thread.start()
    while not tokens.forms:
        time.sleep(0.01)
    context = multiprocessing.get_context("fork")
    child = context.Process(target=lambda: os._exit(0 if token_cache._all and _child(given) else 1))
    child.start()
    thread.join(20)
    child.join(20)
    assert child.exitcode == 0
    assert len(tokens.forms) == 1


def _child(given: OAuth) -> str:
    return token_cache.tokens_for(given, USER).get()


def test_the_file_is_private_and_named_by_a_digest(tokens, state):
    old = os.umask(0)
    try:
        cache(tokens).get()
    finally:
        os.umask(old)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    files = {path.suffix: path for path in state.iterdir()}
    assert set(files) == {".json", ".lock"}
    for path in files.values():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert set(path.stem) <= set("0123456789abcdef")


def test_accounts_and_scopes_have_tokens_of_their_own(tokens):
    given = OAuth(**tokens.oauth())
    found = {Tokens(given, USER).get(), Tokens(given, "b@example.com").get()}
    found.add(cache(tokens, scope="other").get())
    assert len(found) == 3 == len(tokens.forms)


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff", b"[]", b'{"access_token": 1}'])
def test_a_damaged_file_is_replaced(tokens, state, damage):
    cache(tokens).get()
    (file,) = state.glob("*.json")
    file.write_bytes(damage)
    assert tokens.is_good(cache(tokens).get())
    assert cache(tokens).get()
    assert len(tokens.forms) == 2


@pytest.mark.parametrize("trouble", ["open", "file", "no home", "full"])
def test_without_a_private_place_memory_has_to_do(tokens, state, trouble, monkeypatch, caplog):
    if trouble == "open":
        state.mkdir(parents=True)
        (state / "theirs").touch()
        state.chmod(0o755)
    elif trouble == "file":
        state.parent.mkdir(parents=True)
        state.touch()
    elif trouble == "no home":
        monkeypatch.delenv("XDG_STATE_HOME")
        monkeypatch.setattr(Path, "home", _no_home)
    else:
        monkeypatch.setattr(os, "fsync", _disk_full)
    account = cache(tokens)
    first = account.get()
    assert account.get() == first
    account.forget(first)
    assert account.get() != first
    assert len(tokens.forms) == 2
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "OAuth tokens" in warnings[0].getMessage()
    assert not list(state.glob("*.json"))


def _no_home():
    raise RuntimeError("Could not determine home directory.")


def _disk_full(fd):
    raise OSError(28, "No space left on device")
