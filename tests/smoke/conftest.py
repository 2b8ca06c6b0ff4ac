"""pytest-celery's matrix, with our worker in it: Redis and RabbitMQ as broker, Redis for the state.

Its fixtures keep their names; those here take the place of its own where mailqueue differs.
"""

from pathlib import Path

import docker  # type: ignore[import-untyped]
import pytest
from pytest_celery import (  # type: ignore[import-untyped]
    CELERY_RABBITMQ_BROKER,
    CELERY_REDIS_BROKER,
    CeleryTestBackend,
    CeleryTestWorker,
    CeleryWorkerCluster,
    RabbitMQContainer,
)
from pytest_docker_tools import (  # type: ignore[import-untyped]
    build,
    container,
    fxtr,
    network,
)
from support.killing.sink import RecordingSink
from support.private_rabbitmq import require_private_rabbitmq
from support.smoke.client import LocalClient
from support.smoke.nodes import DurableRedis, MailSetup, MailWorker
from support.smoke.way import chosen

ROOT = Path(__file__).parents[2]


def pytest_runtest_setup(item):
    # Before all fixtures: pytest-celery takes a failure within some of them for an answer.
    if item.get_closest_marker("rabbitmq") and not chosen().docker:
        require_private_rabbitmq()


@pytest.fixture(scope="session")
def docker_client():
    if chosen().docker:
        client = docker.from_env()
        yield client
        client.close()
        return
    with pytest.MonkeyPatch.context() as patch:
        # Where /.dockerenv exists, it would not look at published ports.
        patch.setattr(
            "pytest_docker_tools.wrappers.container.tests_inside_container", lambda: False
        )
        client = LocalClient()
        yield client
        client.close()


# A RabbitMQ takes some seconds to start: one for all tests, and so is the network it is in. Each
# test has a queue of its own there, and its own Redis.
default_pytest_celery_network = network(scope="session")

default_rabbitmq_broker = container(
    scope="session",
    image=RabbitMQContainer.image(),
    ports=RabbitMQContainer.ports(),
    environment=RabbitMQContainer.initial_env(),
    network="{default_pytest_celery_network.name}",
    wrapper_class=RabbitMQContainer,
    timeout=120,
)


@pytest.fixture
def default_redis_broker_cls():
    return DurableRedis


@pytest.fixture
def default_redis_backend_cls():
    return DurableRedis


# Its own parameters are a set, whose order differs between the processes of pytest-xdist.
@pytest.fixture(
    params=[CELERY_REDIS_BROKER, pytest.param(CELERY_RABBITMQ_BROKER, marks=pytest.mark.rabbitmq)]
)
def celery_broker(request):
    broker = request.getfixturevalue(request.param)
    yield broker
    broker.teardown()


class State(CeleryTestBackend):
    """Without a look for results: it touches every object there is, and not all bear it.

    Django's settings do not, where a test of another floor has loaded them.
    """


@pytest.fixture
def celery_redis_backend(default_redis_backend):
    backend = State(default_redis_backend)
    yield backend
    backend.teardown()


@pytest.fixture
def sink():
    """In the tests' own process; containers reach it by way of the host."""
    with RecordingSink(host="0.0.0.0" if chosen().docker else "127.0.0.1") as server:
        yield server


@pytest.fixture
def mail_settings(sink, queue_name):
    return {
        "MAILQUEUE_QUEUE": queue_name,
        "MAILQUEUE_BATCH_SIZE": "10",
        "MAILQUEUE_VISIBILITY_TIMEOUT": "6",
        "MAILQUEUE_RETRY_SCHEDULE": "1",
        "EMAIL_HOST": "host.docker.internal" if chosen().docker else "127.0.0.1",
        "EMAIL_PORT": str(sink.port),
    }


@pytest.fixture
def default_worker_container_cls():
    return MailWorker


@pytest.fixture
def default_worker_env(default_worker_container_cls, celery_worker_cluster_config, mail_settings):
    return default_worker_container_cls.initial_env(celery_worker_cluster_config, mail_settings)


mail_worker_image = build(path=str(ROOT), dockerfile="deploy/Dockerfile", tag="mailqueue-smoke")

WORKER = {
    "image": "{mail_worker_image.id}",
    "environment": fxtr("default_worker_env"),
    "network": "{default_pytest_celery_network.name}",
    "extra_hosts": {"host.docker.internal": "host-gateway"},
    "wrapper_class": MailWorker,
    "timeout": 60,
    "command": fxtr("default_worker_command"),
}
default_worker_container = container(**WORKER)
other_worker_container = container(**WORKER)


@pytest.fixture
def two_workers(celery_worker, other_worker_container, celery_setup_app):
    other = CeleryTestWorker(other_worker_container, app=celery_setup_app)
    cluster = CeleryWorkerCluster(celery_worker, other)
    yield cluster
    cluster.teardown()


@pytest.fixture
def celery_setup_cls():
    return MailSetup


@pytest.fixture
def mail_setup(celery_setup, mail_settings, sink):
    celery_setup.use(mail_settings, sink)
    return celery_setup
