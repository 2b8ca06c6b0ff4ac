"""Redis goes away while mail flows through it: it all arrives, and nobody has to do anything."""

import pytest
from support.outages import CUT, LOCALHOST, ComesAndGoes, KillableRedis, flowing, slowly
from support.proxy import Proxy

MAILS = 600


@pytest.fixture
def server():
    with KillableRedis() as running:
        yield running


@pytest.fixture
def smtp():
    with ComesAndGoes(slowly()) as present:
        yield present


@pytest.fixture
def settings(server, smtp, queue_name):
    return {
        "MAILQUEUE_BROKER_URL": server.url,
        "MAILQUEUE_QUEUE": queue_name,
        "MAILQUEUE_BATCH_SIZE": "10",
        # Both leases, of batches (6 s) and of runs (2 s), end during each outage: the worst case.
        "MAILQUEUE_VISIBILITY_TIMEOUT": "6",
        "MAILQUEUE_RETRY_SCHEDULE": "1",
        "EMAIL_HOST": LOCALHOST,
        "EMAIL_PORT": str(smtp.port),
    }


def test_a_killed_redis_costs_no_mail(settings, server, smtp, tmp_path):
    with flowing(settings, smtp, tmp_path) as flow:
        flow.enqueue(MAILS)
        flow.until_arrived(MAILS // 4)
        with flow.outage():
            server.kill()
            flow.enqueue_in_vain(5)
            server.start()
        flow.enqueue_again()


def test_a_cut_network_to_redis_costs_no_mail(settings, server, smtp, tmp_path):
    with Proxy(LOCALHOST, server.port) as proxy:
        settings |= {"MAILQUEUE_BROKER_URL": f"redis://{LOCALHOST}:{proxy.port}/0"}
        with flowing(settings, smtp, tmp_path) as flow:
            flow.enqueue(MAILS)
            flow.until_arrived(MAILS // 4)
            with flow.outage():
                proxy.cut()
                flow.enqueue_in_vain(CUT)
                proxy.mend()
            flow.enqueue_again()
