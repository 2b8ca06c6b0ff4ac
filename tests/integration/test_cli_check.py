"""``mailqueue check``: what it finds with real servers, and what it advises."""

import json
import re
import subprocess
import sys

import pytest
from aiosmtpd.smtp import AuthResult
from click.testing import CliRunner
from support.brokers import free_port
from support.filling import mail, parks
from support.processes import environment
from support.smtp import SmtpServer

from mailqueue import bounds, conf, leases, limits, routes
from mailqueue.cli import main
from mailqueue.envelope import VERSION, Envelope
from mailqueue.failed import keep_message
from mailqueue.routing import ways as routing

PASSWORD = "hunter2-secret"


class Check:
    """Runs ``mailqueue check`` with these settings, as in a pipe."""

    def __init__(self, monkeypatch, settings) -> None:
        self._monkeypatch = monkeypatch
        self._settings = settings

    def __call__(self, **changes):
        for name, value in (self._settings | changes).items():
            self._monkeypatch.setenv(name, str(value))
        conf.reset()
        result = CliRunner().invoke(main, ["check"])
        assert "Traceback" not in result.output
        assert PASSWORD not in result.output
        return result


@pytest.fixture
def settings(redis_settings, smtp):
    return redis_settings | {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(smtp.port)}


@pytest.fixture
def check(monkeypatch, settings):
    return Check(monkeypatch, settings)


def line(output: str, what: str, level: str = "") -> str:
    """The one line of the report about this."""
    found = [
        text for text in output.splitlines() if re.match(rf"{level or '[a-zA-Z]+'} +{what} ", text)
    ]
    assert len(found) == 1, output
    return found[0]


def test_everything_in_order_exits_0_and_says_what_was_found(check, settings, redis_server):
    result = check()
    assert result.exit_code == 0, result.output
    assert "FAIL" not in result.output
    assert re.search(r"mailqueue \d.*celery \d.*kombu \d.*redis \d.*Python 3", result.output)
    assert settings["MAILQUEUE_QUEUE"] in line(result.output, "broker", "ok")
    assert f"127.0.0.1:{redis_server.port}" in line(result.output, "broker", "ok")
    assert "version" in line(result.output, "state store")
    assert "empty" in line(result.output, "failed store", "ok")
    smtp = line(result.output, "SMTP", "ok")
    assert settings["EMAIL_PORT"] in smtp
    assert "no login" in smtp
    assert "SMTPUTF8" in smtp


def test_each_kind_of_broker_is_reached(broker, smtp, monkeypatch):
    check = Check(monkeypatch, broker | {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(smtp.port)})
    result = check()
    assert result.exit_code == 0, result.output
    assert "guest:guest" not in result.output
    assert line(result.output, "broker", "ok")


def test_a_redis_that_forgets_at_a_crash_is_worth_a_warning_with_its_remedy(check):
    # The tests' own server keeps nothing.
    found = line(check().output, "state store", "warn")
    assert "appendonly yes" in found


def test_a_broker_that_is_down_fails_with_its_address_and_a_remedy(check):
    port = free_port()
    result = check(MAILQUEUE_BROKER_URL=f"redis://user:{PASSWORD}@127.0.0.1:{port}/0")
    assert result.exit_code == 1
    assert f"127.0.0.1:{port}" in line(result.output, "broker", "FAIL")
    assert "MAILQUEUE_BROKER_URL" in line(result.output, "broker", "FAIL")
    assert line(result.output, "state store", "FAIL")
    assert line(result.output, "SMTP", "ok")


def test_a_state_store_that_is_down_fails_and_the_broker_does_not(check):
    result = check(MAILQUEUE_REDIS_URL=f"redis://:{PASSWORD}@127.0.0.1:{free_port()}/0")
    assert result.exit_code == 1
    assert line(result.output, "broker", "ok")
    assert "MAILQUEUE_REDIS_URL" in line(result.output, "state store", "FAIL")


def test_rabbitmq_without_a_state_store_is_a_fatal_contradiction(check):
    result = check(MAILQUEUE_BROKER_URL=f"amqp://guest:{PASSWORD}@127.0.0.1:{free_port()}//")
    assert result.exit_code == 1
    assert "set MAILQUEUE_REDIS_URL" in line(result.output, "settings", "FAIL")
    assert line(result.output, "broker", "FAIL")


def test_an_smtp_server_that_is_down_fails_with_a_remedy(check):
    result = check(EMAIL_PORT=free_port())
    assert result.exit_code == 1
    assert "EMAIL_HOST" in line(result.output, "SMTP", "FAIL")
    assert line(result.output, "broker", "ok")


def authenticator(server, session, envelope, mechanism, data):
    good = (data.login, data.password) == (b"ann", PASSWORD.encode())
    return AuthResult(success=good, handled=False)


@pytest.fixture
def smtp_with_login():
    with SmtpServer(
        authenticator=authenticator, auth_required=True, auth_require_tls=False
    ) as server:
        yield server


def test_the_login_is_tried_as_the_worker_would(check, smtp_with_login):
    login = {"EMAIL_PORT": smtp_with_login.port, "EMAIL_HOST_USER": "ann"}
    good = check(**login, EMAIL_HOST_PASSWORD=PASSWORD)
    assert good.exit_code == 0, good.output
    assert "logged in as ann" in line(good.output, "SMTP", "ok")


def test_a_wrong_login_fails_with_the_reply_and_a_remedy(check, smtp_with_login):
    login = {"EMAIL_PORT": smtp_with_login.port, "EMAIL_HOST_USER": "ann"}
    bad = check(**login, EMAIL_HOST_PASSWORD=f"wrong-{PASSWORD}")
    assert bad.exit_code == 1
    found = line(bad.output, "SMTP", "FAIL")
    assert "535" in found
    assert "login" in found


def test_a_server_without_starttls_fails_where_it_is_asked_for(check):
    result = check(EMAIL_USE_TLS="true")
    assert result.exit_code == 1
    assert "STARTTLS" in line(result.output, "SMTP", "FAIL")


def test_settings_that_contradict_each_other_are_listed_with_their_remedies(check):
    result = check(
        EMAIL_USE_TLS="true",
        EMAIL_USE_SSL="true",
        EMAIL_HOST_USER="ann",
        EMAIL_SSL_KEYFILE="key.pem",
        EMAIL_BACKEND="mailqueue.backends.console.EmailBackend",
    )
    assert result.exit_code == 1
    assert "EMAIL_USE_TLS and EMAIL_USE_SSL are both on" in result.output
    assert "set EMAIL_SSL_CERTFILE" in result.output
    assert "only one of EMAIL_HOST_USER and EMAIL_HOST_PASSWORD" in result.output
    assert "send_mail() does not use the queue" in result.output
    assert len(re.findall(r"^FAIL +settings ", result.output, re.MULTILINE)) == 2
    assert len(re.findall(r"^warn +settings ", result.output, re.MULTILINE)) == 2


def test_a_warning_alone_does_not_fail(check):
    result = check(EMAIL_HOST_PASSWORD=PASSWORD)
    assert result.exit_code == 0, result.output
    assert "only one of" in line(result.output, "settings", "warn")


def test_what_waits_in_the_failed_store_is_counted(check):
    check()
    keep_message(Envelope(v=VERSION, id="f" * 32, enqueued_at=1.0), "bounced", "550 no")
    result = check()
    assert result.exit_code == 0
    found = line(result.output, "failed store", "warn")
    assert "1 entry " in found
    assert found.rstrip().endswith("mailqueue failed list")
    assert "make room" not in found


def test_a_failed_store_near_its_bound_says_what_happens_there(check):
    check()
    for number in range(4):
        keep_message(Envelope(v=VERSION, id=f"{number:032}", enqueued_at=1.0), "bounced", "550 no")
    found = line(check(MAILQUEUE_FAILED_MAX_COUNT=5).output, "failed store", "warn")
    assert "4 entries of 5 (MAILQUEUE_FAILED_MAX_COUNT), then the oldest make room" in found


def test_a_paused_route_is_a_warning_with_its_remedy(check):
    check()
    routes.pause("default", "login", "535 5.7.8 no", first=600, longest=900, probe=True)
    routes.pause_by_hand("bulk", "new server")
    result = check()
    assert result.exit_code == 0
    found = [text for text in result.output.splitlines() if re.match(r"warn +route ", text)]
    assert "bulk: paused by hand 0 s ago (new server), 0 mails wait" in found[0]
    assert "to go on: mailqueue routes resume bulk" in found[0]
    assert "default: paused 0 s (login: 535 5.7.8 no), 0 mails wait; tried again in 9" in found[1]
    assert "once corrected: mailqueue routes resume default" in found[1]


def smtp_lines(output: str) -> dict[str, str]:
    """What is said of each route's server, by the route's name."""
    found = re.findall(r"^\w+ +(?:SMTP|delivery) +([\w.]+): .*$", output, re.MULTILINE)
    lines = re.findall(r"^\w+ +(?:SMTP|delivery) +[\w.]+: .*$", output, re.MULTILINE)
    return dict(zip(found, lines, strict=True))


def test_each_route_is_tried_with_its_own_login(check, smtp_with_login):
    server = {"host": "127.0.0.1", "port": smtp_with_login.port, "username": "ann"}
    result = check(
        MAILQUEUE_ROUTES=json.dumps(
            {
                "good": server | {"password": PASSWORD, "concurrency": 1},
                "bad": server | {"password": f"wrong-{PASSWORD}"},
                "files": {"backend": "mailqueue.backends.dummy.EmailBackend"},
                "mixed": {"choose": {"good": 1, "bad": 1}},
            }
        )
    )
    assert result.exit_code == 1
    found = smtp_lines(result.output)
    assert set(found) == {"default", "good", "bad", "files"}
    assert "logged in as ann, offers" in found["good"]
    assert found["bad"].startswith("FAIL")
    assert "535" in found["bad"]
    assert "check host, port and login of route bad" in found["bad"]
    assert re.match("ok +delivery +files: mailqueue.backends.dummy", found["files"])
    assert leases.held("good") == 0


def test_no_connection_is_opened_where_workers_have_all_of_them(check, smtp):
    routes_ = {"default": {"host": "127.0.0.1", "port": smtp.port, "concurrency": 1}}
    check()
    leases.acquire("default", "worker/1", 1, 60)
    result = check(MAILQUEUE_ROUTES=json.dumps(routes_))
    assert "not tried, all 1 connections are taken" in line(result.output, "SMTP", "ok")


def test_a_default_route_that_nobody_configured_is_worth_a_warning_alone(check, smtp):
    port = free_port()
    routes_ = json.dumps({"news": {"host": "127.0.0.1", "port": smtp.port}})
    result = check(EMAIL_HOST="localhost", EMAIL_PORT=port, MAILQUEUE_ROUTES=routes_)
    assert result.exit_code == 0, result.output
    found = smtp_lines(result.output)
    assert found["default"].startswith("warn")
    assert "add a route default" in found["default"]


def test_no_secret_of_a_backend_is_shown(check):
    options = {"api_key": PASSWORD}
    backend = f"{__name__}.Picky"
    result = check(MAILQUEUE_ROUTES=json.dumps({"api": {"backend": backend, "options": options}}))
    assert "RuntimeError: what is ***?" in smtp_lines(result.output)["api"]


class Picky:
    """A backend that repeats what it was given."""

    def __init__(self, api_key, **_):
        raise RuntimeError(f"what is {api_key}?")


def test_a_line_at_its_daily_limit_is_a_warning_and_one_at_its_pace_is_not(check, smtp):
    server = {"host": "127.0.0.1", "port": smtp.port}
    group = {"slow": {"domains": ["example.com"], "limits": ["5/s"]}}
    changes = {
        "MAILQUEUE_ROUTES": json.dumps(
            {"day": server | {"limits": ["1/day"]}, "pace": server | {"domains": group}}
        )
    }
    check(**changes)
    found = routing.ways(conf.get_settings())
    limits.take(bounds.route_bounds(found["day"]), patience=0)
    parks(mail(1, route="day"))
    parks(mail(2, route=routes.open_line("pace", "slow")))
    result = check(**changes)
    assert result.exit_code == 0, result.output
    assert "day: limit reached (1/day), 1 mail waits" in line(result.output, "route", "warn")
    assert "pace@slow: going as its limits allow (5/s), 1 mail" in line(
        result.output, "route", "ok"
    )


def test_another_delivery_backend_is_loaded_and_a_wrong_one_fails(check):
    good = check(MAILQUEUE_DELIVERY_BACKEND="mailqueue.backends.dummy.EmailBackend")
    assert good.exit_code == 0, good.output
    assert "dummy" in line(good.output, "delivery", "ok")
    bad = check(MAILQUEUE_DELIVERY_BACKEND="no.such.Backend")
    assert bad.exit_code == 1
    assert "no.such.Backend" in line(bad.output, "delivery", "FAIL")
    assert "MAILQUEUE_DELIVERY_BACKEND" in line(bad.output, "delivery", "FAIL")


def test_a_user_without_a_password_is_not_said_to_be_logged_in(check):
    assert "no login" in line(check(EMAIL_HOST_USER="ann").output, "SMTP", "ok")


def test_a_wrong_setting_is_one_sentence(check):
    result = check(MAILQUEUE_BATCH_SIZE="none")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "MAILQUEUE_BATCH_SIZE" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_in_a_pipe_there_are_no_colours_and_no_line_is_cut(settings):
    changes = {"EMAIL_HOST_USER": "ann", "EMAIL_BACKEND": "my.[red]Backend"}
    done = subprocess.run(
        [sys.executable, "-m", "mailqueue", "check"],
        env=environment(settings | changes) | {"COLUMNS": "20", "TERM": "xterm-256color"},
        text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "set both, or none" in done.stdout
    assert "EMAIL_BACKEND is my.[red]Backend: send_mail() does not use the queue" in done.stdout
    assert settings["EMAIL_PORT"] in line(done.stdout, "SMTP", "ok")
