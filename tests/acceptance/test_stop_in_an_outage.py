"""A worker is told to stop while its broker and its state store are away: it does stop.

What was sent and cannot be recorded keeps it beyond its time for stopping. After that, the mail
that each connection was in the middle of may come twice.
"""

from contextlib import contextmanager

import pytest
from support.killing.sink import RecordingSink
from support.outages import KillableRedis
from support.private_rabbitmq import PrivateRabbitMQ, require_private_rabbitmq
from support.processes import python, until, worker

MAILS = (
    "from mailqueue import EmailMessage, get_connection\n"
    "get_connection().send_messages(EmailMessage(f'{n}', 'x', 'a@example.com',"
    " [f'{n}@example.com']) for n in range(100))"
)
CONNECTIONS = 2


@pytest.fixture
def sink():
    with RecordingSink() as server:
        server.pause = 0.05
        yield server


@pytest.fixture
def settings(queue_name, sink):
    return {
        "MAILQUEUE_QUEUE": queue_name,
        "MAILQUEUE_STOP_TIMEOUT": "1",
        "MAILQUEUE_VISIBILITY_TIMEOUT": "6",
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": str(sink.port),
    }


@contextmanager
def told_to_stop_without(server, settings, log, *options):
    """A worker that obeys while the server is away, which is back afterwards."""
    with worker(settings, log, *options) as running:
        yield running
        # A RabbitMQ that is killed in the second in which a queue was declared may lose that.
        server.stop() if isinstance(server, PrivateRabbitMQ) else server.kill()
        until(lambda: "Cannot connect to" in running.log, 30, lambda: running.log)
    assert running.process.returncode == 0
    server.start()


def all_arrive(settings, sink, log, *, twice) -> None:
    sink.pause = 0.0
    with worker(settings, log) as running:
        until(lambda: sink.arrived >= 100, 60, lambda: (sink.arrived, running.log))
    assert sink.arrived == 100
    assert sum(len(taken) > 1 for taken in sink.taken.values()) <= twice


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_an_idle_worker_without_redis(settings, tmp_path, pool):
    with KillableRedis() as server:
        settings |= {"MAILQUEUE_BROKER_URL": server.url}
        with told_to_stop_without(server, settings, tmp_path / "log", "--pool", pool):
            pass


def test_a_busy_worker_without_redis(settings, sink, tmp_path):
    with KillableRedis() as server:
        settings |= {"MAILQUEUE_BROKER_URL": server.url}
        with told_to_stop_without(server, settings, tmp_path / "log"):
            python(MAILS, settings)
            until(lambda: sink.arrived > 5)
        assert sink.arrived < 100
        all_arrive(settings, sink, tmp_path / "next.log", twice=CONNECTIONS)


@pytest.mark.rabbitmq
def test_a_worker_without_rabbitmq(settings, sink, redis_server, tmp_path):
    """Busy, and one that is idle afterwards."""
    require_private_rabbitmq()
    with PrivateRabbitMQ() as server:
        settings |= {
            "MAILQUEUE_BROKER_URL": server.url,
            "MAILQUEUE_REDIS_URL": redis_server.tcp_url,
        }
        with told_to_stop_without(server, settings, tmp_path / "busy.log"):
            python(MAILS, settings)
            until(lambda: sink.arrived > 5)
        all_arrive(settings, sink, tmp_path / "next.log", twice=0)
        with told_to_stop_without(server, settings, tmp_path / "idle.log"):
            pass
