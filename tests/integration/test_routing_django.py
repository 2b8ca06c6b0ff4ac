"""Routes where Django is configured: its settings, live, and its own messages and backends."""

import json

import pytest
from support.processes import python

START = """
from django.conf import settings
settings.configure(EMAIL_BACKEND="mailqueue.backends.queue.EmailBackend", USE_TZ=True, **GIVEN)
from mailqueue import enqueuing
from mailqueue.conf import get_settings
from mailqueue.routing.ways import ways
"""


def run(program: str, environment: dict[str, str] | None = None, **given: object) -> None:
    python(f"GIVEN = {given!r}\n{START}\n{program}", environment or {})


def test_routes_in_django_s_settings_hold_and_are_live():
    run(
        """
from django.test.utils import override_settings
assert list(ways(get_settings())) == ["default", "news"]
assert ways(get_settings()) is ways(get_settings())
assert ways(get_settings())["news"].arguments["host"] == "h.example"
with override_settings(MAILQUEUE_ROUTES={"other": {"host": "o.example"}}, EMAIL_HOST="x"):
    assert list(ways(get_settings())) == ["default", "other"]
assert list(ways(get_settings())) == ["default", "news"]
assert "geheim" not in repr(get_settings())
""",
        MAILQUEUE_ROUTES={"news": {"host": "h.example", "username": "u", "password": "geheim"}},
    )


def test_they_win_over_the_environment():
    environment = {"MAILQUEUE_ROUTES": json.dumps({"env": {}}), "MAILQUEUE_ALLOWED_DOMAINS": "a.b"}
    run(
        """
from django.test.utils import override_settings
assert list(ways(get_settings())) == ["default", "env"]
with override_settings(MAILQUEUE_ROUTES={"dj": {}}):
    assert list(ways(get_settings())) == ["default", "dj"]
    assert get_settings().MAILQUEUE_ALLOWED_DOMAINS == ("a.b",)
""",
        environment,
    )


def test_a_mistake_in_them_is_told_with_its_place():
    run(
        """
try:
    get_settings()
except ValueError as error:
    assert str(error).startswith("MAILQUEUE_ROUTES in Django's settings, route 'news': limits: ")
else:
    raise AssertionError
""",
        MAILQUEUE_ROUTES={"news": {"limits": 3}},
    )


def test_django_s_send_mail_and_connections_take_routes():
    run(
        """
from django.core.mail import EmailMessage, get_connection, send_mail
from mailqueue.envelope import Envelope
batches = []
with enqueuing.published_by(batches.extend):
    send_mail("s", "b", "news@example.com", ["ann@example.com"])
    send_mail("s", "b", "us@example.com", ["ann@example.com"])
    connection = get_connection(route="rest", priority="high")
    EmailMessage("s", "b", "news@example.com", ["ann@example.com"], connection=connection).send()
found = [(item.route, item.priority) for batch in batches for item in batch]
assert found == [("news", "normal"), ("default", "normal"), ("rest", "high")], found
try:
    get_connection(route="nowhere")
except ValueError as error:
    assert "default, news, rest" in str(error)
else:
    raise AssertionError
""",
        MAILQUEUE_ROUTES={"news": {"senders": ["news@example.com"]}, "rest": {}},
    )


@pytest.mark.parametrize("delivery", ["django.core.mail.backends.smtp.EmailBackend", None])
def test_the_arguments_of_a_way_are_such_as_smtp_backends_take(delivery):
    run(
        """
from mailqueue import get_connection
way = ways(get_settings())["it"]
made = get_connection(way.backend, **way.arguments)
assert (made.host, made.port, made.username, made.password) == ("h.example", 587, "u", "pw")
assert (made.use_tls, made.use_ssl, made.timeout) == (True, False, 5.0)
other = get_connection(way.backend, **ways(get_settings())["other"].arguments)
assert (other.host, other.username, other.password) == ("o.example", "", "")
default = get_connection(way.backend, **ways(get_settings())["default"].arguments)
assert (default.host, default.username) == ("d.example", "du")
""",
        MAILQUEUE_ROUTES={
            "it": {
                "host": "h.example", "port": 587, "username": "u", "password": "pw",
                "use_tls": True, "timeout": 5,
            },
            "other": {"host": "o.example"},
        },
        EMAIL_HOST="d.example", EMAIL_HOST_USER="du", EMAIL_HOST_PASSWORD="dp",
        **({"MAILQUEUE_DELIVERY_BACKEND": delivery} if delivery else {}),
    )  # fmt: skip
