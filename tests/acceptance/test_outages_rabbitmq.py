"""RabbitMQ, or the Redis beside it that holds the state, goes away while mail flows."""

import pytest
from support.outages import CUT, LOCALHOST, ComesAndGoes, KillableRedis, flowing, slowly
from support.private_rabbitmq import PrivateRabbitMQ, require_private_rabbitmq
from support.proxy import Proxy

MAILS = 600

pytestmark = pytest.mark.rabbitmq


@pytest.fixture(scope="module")
def server():
    require_private_rabbitmq()
    with PrivateRabbitMQ() as running:
        yield running


@pytest.fixture
def state():
    with KillableRedis() as running:
        yield running


@pytest.fixture
def smtp():
    with ComesAndGoes(slowly()) as present:
        yield present


@pytest.fixture
def settings(server, state, smtp, queue_name):
    return {
        "MAILQUEUE_BROKER_URL": server.url,
        "MAILQUEUE_REDIS_URL": state.url,
        "MAILQUEUE_QUEUE": queue_name,
        "MAILQUEUE_BATCH_SIZE": "10",
        # A run's lease (2 s) ends during each outage: the worst case.
        "MAILQUEUE_VISIBILITY_TIMEOUT": "6",
        "MAILQUEUE_RETRY_SCHEDULE": "1",
        "EMAIL_HOST": LOCALHOST,
        "EMAIL_PORT": str(smtp.port),
    }


def test_a_rabbitmq_that_is_restarted_and_killed_costs_no_mail(settings, server, smtp, tmp_path):
    with flowing(settings, smtp, tmp_path) as flow:
        flow.enqueue(MAILS)
        flow.until_arrived(MAILS // 4)
        with flow.outage():
            server.stop()
            flow.enqueue_in_vain(2)
            server.start()
        flow.enqueue_again()
        flow.until_arrived(MAILS // 2)
        with flow.outage():
            server.kill()
            flow.enqueue_in_vain(2)
            server.start()
        flow.enqueue_again()


def test_a_cut_network_to_rabbitmq_costs_no_mail(settings, server, smtp, tmp_path):
    with Proxy(LOCALHOST, server.port) as proxy:
        settings |= {"MAILQUEUE_BROKER_URL": server.url.replace(str(server.port), str(proxy.port))}
        with flowing(settings, smtp, tmp_path) as flow:
            flow.enqueue(MAILS)
            flow.until_arrived(MAILS // 4)
            with flow.outage():
                proxy.cut()
                flow.enqueue_in_vain(CUT)
                proxy.mend()
            flow.enqueue_again()


def test_a_cut_network_to_the_state_stops_sending_and_nothing_else(settings, state, smtp, tmp_path):
    with Proxy(LOCALHOST, state.port) as proxy:
        settings |= {"MAILQUEUE_REDIS_URL": f"redis://{LOCALHOST}:{proxy.port}/0"}
        with flowing(settings, smtp, tmp_path) as flow:
            flow.enqueue(MAILS)
            flow.until_arrived(MAILS // 4)
            with flow.outage():
                proxy.cut()
                sent = len(flow.arrived)
                flow.enqueue_meanwhile(CUT)
                # What was being handed over: nothing goes out that cannot be recorded.
                assert len(flow.arrived) <= sent + flow.connections
                proxy.mend()
