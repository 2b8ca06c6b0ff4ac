"""Routes and settings that cannot work: told before a mail is lost or left waiting by them.

A worker does not start, a producer publishes nothing, and `mailqueue check` lists all of it. Each
says the setting, the route and the remedy in one sentence, and no secret.
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from support.processes import environment, until, worker

from mailqueue import ConfigurationError, EmailMessage, conf, enqueue
from mailqueue.desk.queue_length import queue_length

SECRET: Final = "geheim-5f1c"
LOGIN: Final = {"username": "app", "password": SECRET}
HOST: Final = {"host": "smtp.example"}
FINE: Final = {"fine": HOST | LOGIN}


class Wrong(NamedTuple):
    """A configuration that cannot work."""

    #: ``MAILQUEUE_ROUTES``: a table, or what stands there as it is.
    routes: dict[str, Any] | str
    #: What the sentence has to hold: the setting and the route, what is wrong, the remedy.
    says: tuple[str, ...]
    #: Producers need not be able to deliver, and do not mind that.
    for_workers: bool = False
    more: dict[str, str] = {}  # noqa: RUF012 - never changed


def route(**fields: Any) -> dict[str, Any]:
    """A route that is called "it", with a secret, beside one that is fine."""
    return FINE | {"it": HOST | LOGIN | fields}


IT: Final = "MAILQUEUE_ROUTES, route 'it': "
TABLE: Final = {
    "preset": Wrong(
        route(preset="sendgird"), (IT + "preset", "there is no preset 'sendgird'", "sendgrid"),
    ),
    "limit": Wrong(route(limits=["14 a second"]), (IT + "limits[0]", "'14 a second'", "14/s")),
    "limit-of-0": Wrong(route(limits=["0/s"]), (IT + "limits[0]", "'0/s' allows 0", "count")),
    "failover": Wrong(
        route(failover=["nowhere"]),
        (IT + "failover names 'nowhere'", "add it to MAILQUEUE_ROUTES"),
    ),
    "choose": Wrong(
        FINE | {"it": {"choose": {"fine": 1, "nowhere": 2}}},
        (IT + "choose names 'nowhere'", "add it to MAILQUEUE_ROUTES"),
    ),
    "senders": Wrong(
        FINE | {"it": HOST | {"senders": ["nobody"]}},
        (IT + "senders[0]: 'nobody'", "'@example.com'"),
    ),
    "senders-twice": Wrong(
        {"it": HOST | {"senders": ["a@b.example"]}, "other": {"senders": ["A@B.example"]}},
        ("MAILQUEUE_ROUTES, route ", "senders[0]", "takes route", "leave it out"),
    ),
    "circle": Wrong(
        {"it": {"choose": {"other": 1}}, "other": {"choose": {"it": 1}}},
        (IT + "choose leads back to it", "choose among routes that send"),
    ),
    "no-password": Wrong(
        {"it": HOST | {"username": "app"}},
        (IT + "username is set without a password", "set password"), True,
    ),
    "no-login": Wrong(
        {"it": {"preset": "postmark"}},
        (IT + "username is missing: preset 'postmark' needs a login", "set username"), True,
    ),
    "no-host": Wrong(
        {"it": {"preset": "ses"} | LOGIN}, (IT + "host is missing", "amazonaws.com"), True,
    ),
    "both-tls": Wrong(
        route(use_tls=True, use_ssl=True), (IT + "use_tls and use_ssl are both on", "465"), True,
    ),
    "backend": Wrong(
        route(backend="mailqueue.backends.smpt.EmailBackend"),
        (IT + "backend: 'mailqueue.backends.smpt.EmailBackend' cannot be", "dotted path"), True,
    ),
    "oauth-without-user": Wrong(
        {"it": HOST | {"oauth": {
            "token_url": "https://token.example", "client_id": "c", "client_secret": SECRET,
        }}},
        (IT + "oauth is set without the user", "set username"), True,
    ),
    "field": Wrong(
        route(pasword=SECRET), ("MAILQUEUE_ROUTES in the environment, route 'it'", "`pasword`"),
    ),
    "kind": Wrong(
        route(port="smtp"), ("MAILQUEUE_ROUTES in the environment, route 'it': port",),
    ),
    "json": Wrong(
        '{"it": {"password": "' + SECRET + '",}}',
        ("MAILQUEUE_ROUTES in the environment", "no JSON"),
    ),
    "list": Wrong(
        '["' + SECRET + '"]', ("MAILQUEUE_ROUTES in the environment", "a table for each route"),
    ),
    "toml": Wrong(
        "routes.toml",
        ("MAILQUEUE_ROUTES in the environment (", "routes.toml", "no TOML", "line 2"),
    ),
    "missing-file": Wrong(
        "nowhere.toml", ("MAILQUEUE_ROUTES in the environment (", "nowhere.toml", "cannot be read"),
    ),
    "redirect": Wrong(
        FINE, ("MAILQUEUE_REDIRECT_ALL_TO",),
        more={"MAILQUEUE_REDIRECT_ALL_TO": "a@b.example, c@d.example"},
    ),
    "allowed": Wrong(
        FINE, ("MAILQUEUE_ALLOWED_DOMAINS",), more={"MAILQUEUE_ALLOWED_DOMAINS": "a@b.example"},
    ),
    "router": Wrong(FINE, ("MAILQUEUE_ROUTER", "nowhere.router", "dotted path"),
        more={"MAILQUEUE_ROUTER": "nowhere.router"},
    ),
}  # fmt: skip
#: Only producers ask it; a worker starts all the same.
FOR_PRODUCERS: Final = {"router"}


def settings_of(wrong: Wrong, redis_settings: dict[str, str]) -> dict[str, str]:
    given = wrong.routes if isinstance(wrong.routes, str) else json.dumps(wrong.routes)
    return redis_settings | {"MAILQUEUE_ROUTES": given} | wrong.more


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where processes are started, and where relative paths begin: with a file that is no TOML."""
    (tmp_path / "routes.toml").write_text(f'[it]\npassword = "{SECRET}\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(settings: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """What an operator types; a worker that does start is ended, which is a failure here."""
    return subprocess.run(
        [sys.executable, "-m", "mailqueue", *arguments],
        env=environment(settings), text=True, capture_output=True, timeout=60, check=False,
    )  # fmt: skip


def not_said(text: str, wrong: Wrong) -> list[str]:
    """What a text should say, and does not."""
    words = " ".join(text.split())
    return [said for said in wrong.says if said not in words]


def test_a_worker_does_not_start(redis_settings, here: Path):
    def start(name: str) -> tuple[str, subprocess.CompletedProcess[str]]:
        settings = settings_of(TABLE[name], redis_settings)
        return name, command(settings, "worker", "--concurrency", "1", "--pool", "solo")

    # Two at a time: most of it is starting Python.
    with ThreadPoolExecutor(2) as pool:
        done = dict(pool.map(start, TABLE.keys() - FOR_PRODUCERS))
    for name, process in done.items():
        told = process.stdout + process.stderr
        assert (name, process.returncode != 0) == (name, True), told
        assert (name, not_said(told, TABLE[name])) == (name, []), told
        assert "Traceback" not in told, name
        assert SECRET not in told, name
        # One sentence, and what names the program before it.
        assert len(told.strip().splitlines()) <= 2, told
        assert " ready." not in told


def test_a_producer_publishes_nothing_save_where_only_workers_mind(
    redis_settings, here: Path, monkeypatch
):
    published = 0
    for name, wrong in TABLE.items():
        conf.reset()
        for setting, value in settings_of(wrong, redis_settings).items():
            monkeypatch.setenv(setting, value)
        mails = [EmailMessage("S", "B", "a@b.example", ["ann@example.com"]) for _ in range(3)]
        if wrong.for_workers:
            enqueue(mails)  # a password need not be where mail is enqueued
            published += 1
        else:
            with pytest.raises(ConfigurationError) as caught:
                enqueue(mails)
            assert (name, not_said(str(caught.value), wrong)) == (name, [])
            assert SECRET not in str(caught.value)
            assert isinstance(caught.value, ValueError)
        for setting in wrong.more:
            monkeypatch.delenv(setting)
    conf.reset()
    monkeypatch.delenv("MAILQUEUE_ROUTES")
    with pytest.raises(ValueError, match=r"route is 'nowhere'; the routes are default"):
        enqueue(mails, route="nowhere")
    assert queue_length().batches == published
    # And no message of a call is, where the router is wrong for one of them.
    monkeypatch.setenv("MAILQUEUE_ROUTER", f"{__name__}.router")
    conf.reset()
    mails[2].subject = "nowhere"
    with pytest.raises(ConfigurationError, match=r"returned 'nowhere'; the routes are default"):
        enqueue(mails)
    assert queue_length().batches == published
    mails[2].subject = "S"
    enqueue(mails)
    assert queue_length().batches == published + 1


def router(message: EmailMessage) -> str | None:
    """``MAILQUEUE_ROUTER``."""
    return str(message.subject) if message.subject == "nowhere" else None


def test_the_command_that_sends_says_it_too(redis_settings, here: Path):
    for name in ("failover", "json"):
        wrong = TABLE[name]
        done = command(
            settings_of(wrong, redis_settings), "send", "--to", "ann@example.com", "--body", "x",
        )  # fmt: skip
        told = done.stdout + done.stderr
        assert done.returncode != 0
        assert not_said(told, wrong) == []
        assert "Traceback" not in told
        assert SECRET not in told


def test_check_lists_all_of_it_at_once(redis_settings, here: Path):
    names = [
        "preset", "limit", "failover", "choose", "senders", "no-password", "no-login", "no-host",
        "both-tls", "backend", "oauth-without-user",
    ]  # fmt: skip
    table: dict[str, Any] = dict(FINE)
    expected = []
    for name in names:
        wrong = TABLE[name]
        assert isinstance(wrong.routes, dict)
        table[name] = wrong.routes["it"]
        expected += [said.replace("route 'it'", f"route {name!r}") for said in wrong.says]
    settings = redis_settings | {"MAILQUEUE_ROUTES": json.dumps(table)}
    settings |= TABLE["redirect"].more | TABLE["allowed"].more | TABLE["router"].more
    expected += [*TABLE["redirect"].says, *TABLE["allowed"].says, *TABLE["router"].says]
    done = command(settings, "check")
    assert done.returncode == 1
    rows = rows_of(done.stdout)
    missing = [said for said in expected if not any(said in row for row in rows)]
    assert not missing, done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert SECRET not in done.stdout + done.stderr


def rows_of(report: str) -> list[str]:
    """What is found, and the remedy, in each row of the table; both are wrapped in their column."""
    heading, *lines = report.splitlines()
    found, remedy = heading.index("found"), heading.index("remedy")
    rows: list[tuple[list[str], list[str]]] = []
    for line in lines:
        if line[:found].strip():
            rows.append(([], []))
        for column, text in zip(rows[-1], (line[found:remedy], line[remedy:]), strict=True):
            column.append(text.strip())
    return [" ".join(" ".join(column).strip() for column in row) for row in rows]


def test_mended_it_starts(redis_settings, here: Path, smtp):
    table = {"it": {"host": "127.0.0.1", "port": smtp.port, "senders": ["@b.example"]}}
    (here / "routes.toml").write_text(
        f'[it]\nhost = "127.0.0.1"\nport = {smtp.port}\nsenders = ["@b.example"]\n'
    )
    for value in (json.dumps(table), "routes.toml"):
        settings = redis_settings | {"MAILQUEUE_ROUTES": value}
        conf.reset()
        conf.configure(**settings)
        before = len(smtp.received)
        enqueue(EmailMessage("S", "B", "a@b.example", ["ann@example.com"]))
        with worker(settings, here / "worker.log") as running:
            until(
                lambda seen=before: len(smtp.received) == seen + 1,  # type: ignore[misc]
                30, lambda: running.log[-3000:],
            )  # fmt: skip
