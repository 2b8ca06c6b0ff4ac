"""Workers that log in with access tokens, which end in the middle of what they do.

A local token endpoint and a local server that takes its tokens, for as long as they are good.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.oauth_server import FIRST_REFRESH, SECRET, USER, TokenServer, XoauthServer
from support.processes import environment, until, worker
from support.two_routes import all_sent, blamed, hasten, is_quiet, let_time_pass, with_routes

from mailqueue import EmailMessage, Handle, Status, enqueue, failed, ledger, routes
from mailqueue.desk.standing import standing_of
from mailqueue.state import get_state, key

#: ``MAILQUEUE_EVENTS``, in the worker: writes all that it is told to a file.
LISTENER = """
import os

def listen(event):
    with open(os.environ["EVENTS_GO_TO"], "a") as file:
        file.write(f"{event!r}\\n")
"""


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tokens are shared in a directory of the test's own; events go to a file there."""
    home = tmp_path / "state"
    home.mkdir(mode=0o700)
    (tmp_path / "listens.py").write_text(LISTENER)
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("EVENTS_GO_TO", str(tmp_path / "events.txt"))
    return home


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with TokenServer() as server:
        yield server


def office(tokens: TokenServer, server: XoauthServer, **more: str) -> dict[str, object]:
    """A route's table."""
    return {
        "host": "127.0.0.1", "port": server.port, "username": USER, "oauth": tokens.oauth(**more),
    }  # fmt: skip


def mails(numbers: Iterable[int]) -> list[EmailMessage]:
    return [
        EmailMessage("Subject", "Body", USER, [f"to{number}@example.com"]) for number in numbers
    ]


def arrived(server: XoauthServer) -> list[str]:
    return sorted(who for mail in list(server.received) for who in mail.recipients)


def addressed(numbers: Iterable[int]) -> list[str]:
    return sorted(f"to{number}@example.com" for number in numbers)


def assert_untold(tokens: TokenServer, tmp_path: Path, *texts: str) -> None:
    """Neither a token nor a secret is where many look: logs, state store, broker, events."""
    told = "\n".join([*texts, (tmp_path / "events.txt").read_text(), _all_of_redis()])
    for log in tmp_path.glob("*.log"):
        told += log.read_text("utf-8", "replace")
    for said in tokens.said:
        assert said not in told
    assert SECRET not in told
    assert FIRST_REFRESH not in told


def _all_of_redis() -> str:
    client: Any = get_state()
    found: list[str] = []
    for name in client.scan_iter(count=1000):
        match client.type(name):
            case b"string":
                value: object = client.get(name)
            case b"hash":
                value = client.hgetall(name)
            case b"list":
                value = client.lrange(name, 0, -1)
            case b"set":
                value = client.smembers(name)
            case _:
                value = client.zrange(name, 0, -1)
        found.append(f"{name!r} {value!r}")
    assert found
    return "\n".join(found)


def with_office(redis_settings, table: dict[str, object]) -> dict[str, str]:
    return with_routes(redis_settings, {"default": table}, MAILQUEUE_EVENTS="listens.listen")


@pytest.mark.parametrize(
    ("at_expiry", "more"),
    [
        ("421 4.7.0 the session has expired", {}),
        ("535 5.7.3 the token has expired", {}),
        ("535 5.7.3 the token has expired", {"refresh_token": FIRST_REFRESH}),
    ],
)
def test_a_token_that_ends_in_the_middle_of_a_batch_costs_nothing(
    redis_settings, tokens: TokenServer, tmp_path: Path, at_expiry: str, more: dict[str, str]
):
    tokens.rotates = bool(more)
    with XoauthServer(tokens, auth_require_tls=False, at_expiry=at_expiry) as server:
        by_expiry, ended = server.script, set[int]()

        def ends_now_and_then(verb: str, argument: str, connection: int) -> str | None:
            # Each tenth mail finds that its session's token is over.
            count = len(server.received)
            if verb == "MAIL" and count and count % 10 == 0 and count not in ended:
                ended.add(count)
                tokens.revoke_all()
            return by_expiry(verb, argument, connection) if by_expiry else None

        server.script = ends_now_and_then
        settings = with_office(redis_settings, office(tokens, server, **more))
        with worker(settings, tmp_path / "worker.log") as running:
            handles = enqueue(mails(range(45)))
            until(lambda: all_sent(handles), 40, lambda: running.log[-1500:])
            assert routes.paused("default") is None
            until(is_quiet, 20)
            assert_untold(tokens, tmp_path)
        assert arrived(server) == addressed(range(45))
        assert ended == {10, 20, 30, 40}
        assert not [login for login in server.logins if login.startswith(("malformed", "PLAIN"))]
        # One token for each time, and no storm of questions.
        assert len(tokens.forms) == 5
        assert len(server.holders) == 5
        assert not blamed(handles)
        assert (tmp_path / "events.txt").read_text().count("name='sent'") == 45


def test_mail_waits_while_the_token_endpoint_is_away(
    redis_settings, tokens: TokenServer, tmp_path: Path
):
    tokens.raw = (503, {}, b"come back later")
    with XoauthServer(tokens, auth_require_tls=False) as server:
        settings = with_office(redis_settings, office(tokens, server))
        settings["MAILQUEUE_BATCH_SIZE"] = "1"
        with worker(settings, tmp_path / "worker.log") as running:
            handles = [handle for number in range(6) for handle in enqueue(mails([number]))]

            def all_wait() -> bool:
                return {handle.status() for handle in handles} == {Status.DEFERRED}

            until(lambda: routes.paused("default") and all_wait(), 30, lambda: running.log[-1500:])
            paused = routes.paused("default")
            assert paused
            # As with a server that is away; nobody has to act.
            assert (paused.kind, "503" in paused.reason) == ("away", True)
            assert not server.received
            assert not blamed(handles)
            asked = len(tokens.forms)
            assert asked <= 6
            tokens.raw = None
            let_time_pass("default")

            def all_are_there() -> bool:
                hasten(handles)
                return all_sent(handles)

            until(all_are_there, 40, lambda: running.log[-1500:])
            assert routes.paused("default") is None
            until(is_quiet, 20)
            assert_untold(tokens, tmp_path)
        assert arrived(server) == addressed(range(6))
        assert not blamed(handles)


def test_a_client_that_is_refused_pauses_the_route_in_words(
    redis_settings, tokens: TokenServer, tmp_path: Path
):
    wrong = "a secret that was replaced"
    with XoauthServer(tokens, auth_require_tls=False) as server:
        table = office(tokens, server, client_secret=wrong)
        settings = with_office(redis_settings, table)
        with worker(settings, tmp_path / "wrong.log") as running:
            handles = enqueue(mails(range(8)))
            until(lambda: routes.parked("default") == 8, 30, lambda: running.log[-1500:])
            until(lambda: ledger.in_flight() == 0, 20)
            paused = routes.paused("default")
            assert paused
            assert paused.kind == "login"
            assert len(tokens.forms) == 1
            assert not server.received
            stats = command(settings, "stats")
            assert stats.returncode == 0, stats.stderr
            words = " ".join(stats.stdout.split())
            assert (
                "(login: 535 the token endpoint at 127.0.0.1 answered 401 invalid_client" in words
            )
            assert "8 mails wait; tried again in" in words
            assert "once corrected: mailqueue routes resume default" in words
            (route,) = json.loads(command(settings, "stats", "--json").stdout)["routes"]
            assert route["paused"]["kind"] == "login"
            assert not blamed(handles)
            for handle in handles:
                standing = standing_of(handle.id)
                assert standing
                assert (standing.status, standing.parked) == (Status.DEFERRED, "default")
        # Corrected in the settings, and the worker started anew.
        settings = with_office(redis_settings, office(tokens, server))
        with worker(settings, tmp_path / "right.log") as running:
            resumed = command(settings, "routes", "resume", "default")
            assert resumed.returncode == 0, resumed.stderr
            until(lambda: all_sent(handles), 30, lambda: running.log[-1500:])
            until(is_quiet, 20)
            assert_untold(tokens, tmp_path, stats.stdout, stats.stderr)
            everything = _all_of_redis() + (tmp_path / "wrong.log").read_text()
            assert wrong not in everything + stats.stdout
        assert arrived(server) == addressed(range(8))
        assert failed.count() == 0
        assert not get_state().exists(key("route", "default"))


def test_another_account_s_tokens_open_its_route_alone(
    redis_settings, tokens: TokenServer, tmp_path: Path
):
    """One route's token is refused by everybody, another one's is fine: they do not mix."""
    with XoauthServer(tokens, auth_require_tls=False) as server, TokenServer() as others:
        table = {
            "default": office(tokens, server),
            # Its endpoint gives tokens that this server does not know.
            "stranger": office(others, server),
            "spared": office(others, server) | {"failover": ["default"]},
        }
        settings = with_routes(redis_settings, table, MAILQUEUE_EVENTS="listens.listen")
        with worker(settings, tmp_path / "worker.log") as running:
            stuck = enqueue(mails(range(2)), route="stranger")
            until(lambda: routes.parked("stranger") == 2, 30, lambda: running.log[-1500:])
            handles: list[Handle] = enqueue(mails(range(2, 6)))
            handles += enqueue(mails(range(6, 9)), route="spared")
            until(lambda: all_sent(handles), 30, lambda: running.log[-1500:])
            paused = routes.paused("stranger")
            assert paused
            assert (paused.kind, paused.reason[:3]) == ("login", "535")
            assert_untold(tokens, tmp_path)
            assert_untold(others, tmp_path)
            assert {handle.status() for handle in stuck} == {Status.DEFERRED}
        assert arrived(server) == addressed(range(2, 9))
        assert not blamed([*handles, *stuck])


def command(settings: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """What an operator types."""
    return subprocess.run(
        [sys.executable, "-m", "mailqueue", *arguments],
        env=environment(settings), text=True, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
