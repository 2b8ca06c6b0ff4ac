"""Fixtures that every floor may use; servers start only where a test asks for one."""

import os
import signal
import uuid
from collections.abc import Iterator

import pytest
from support import brokers
from support.smoke import way
from support.smtp import SmtpServer

from mailqueue import conf
from mailqueue.settings import NAMES

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in a shell's background; processes of tests would inherit it, and hear no Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}


def pytest_report_header() -> list[str]:
    return [
        f"redis for tests: {brokers.redis_binary()}, started privately",
        f"rabbitmq for tests: {brokers.rabbitmq_trouble() or 'answers'}",
        str(way.chosen()),
    ]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once more, beside their results, which way the smoke tests went."""
    reports = [each for found in terminalreporter.stats.values() for each in found]
    if any(getattr(each, "nodeid", "").startswith("tests/smoke/") for each in reports):
        terminalreporter.write_line(str(way.chosen()))


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees the settings of whoever runs it, or another test's."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    conf.reset()
    yield
    conf.reset()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[brokers.RedisServer]:
    with brokers.redis_server() as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq_url() -> str:
    trouble = brokers.rabbitmq_trouble()
    if trouble and IN_CI:
        pytest.fail(f"{trouble}; CI has to provide it")
    if trouble:
        pytest.skip(trouble)
    return brokers.AMQP_URL


@pytest.fixture
def queue_name() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(
    params=["redis-tcp", "redis-socket", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)]
)
def broker(
    request: pytest.FixtureRequest, redis_server: brokers.RedisServer, queue_name: str
) -> Iterator[dict[str, str]]:
    """Settings for each kind of broker, with a queue of the test's own."""
    settings = {"MAILQUEUE_QUEUE": queue_name}
    if request.param == "redis-tcp":
        yield settings | {"MAILQUEUE_BROKER_URL": redis_server.tcp_url}
    elif request.param == "redis-socket":
        yield settings | {"MAILQUEUE_BROKER_URL": redis_server.socket_url}
    else:
        url = request.getfixturevalue("rabbitmq_url")
        yield settings | {
            "MAILQUEUE_BROKER_URL": url,
            "MAILQUEUE_REDIS_URL": redis_server.tcp_url,
        }
        brokers.delete_rabbitmq_queue(queue_name)


@pytest.fixture
def redis_settings(redis_server: brokers.RedisServer, queue_name: str) -> dict[str, str]:
    return {"MAILQUEUE_BROKER_URL": redis_server.tcp_url, "MAILQUEUE_QUEUE": queue_name}


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        yield server
