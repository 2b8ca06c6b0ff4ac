"""The SMTP server goes away while mail flows: the route pauses, and mail waits without a hurry."""

import pytest
from support.outages import LOCALHOST, LONG, ComesAndGoes, flowing, slowly
from support.processes import until
from support.proxy import Proxy

from mailqueue import conf, ledger, routes, schedule

MAILS = 300
#: Seconds.
ABSENCE = 120.0 if LONG else 13.0
#: Three failures in a row pause a route, and the four connections that fail at once may be beyond
#: them; then it is tried after 5, 10, 20 … seconds. What was deferred before comes on its own.
TRIES = 30


@pytest.fixture
def smtp():
    with ComesAndGoes(slowly()) as present:
        yield present


@pytest.fixture
def settings(redis_settings, smtp):
    return redis_settings | {
        "MAILQUEUE_BATCH_SIZE": "10",
        "MAILQUEUE_RETRY_SCHEDULE": "1",
        "EMAIL_TIMEOUT": "2",
        "EMAIL_HOST": LOCALHOST,
        "EMAIL_PORT": str(smtp.port),
    }


@pytest.mark.parametrize("parked", [True, False])
def test_a_worker_may_put_mail_back_before_its_poller_has_said_that_it_published(
    redis_settings, parked
):
    conf.configure(**redis_settings)

    def put_off(delay):
        ledger.put_off("default", "a", 3, "document", delay=delay, parked=parked, detail="paused")

    put_off(0)
    routes.release("default", 10)
    taken = schedule.take_due(10, 1000)
    assert [(one.id, one.edition, one.document) for one in taken] == [("a", 3, "document")]
    put_off(0)
    schedule.published(taken)
    routes.release("default", 10)
    (again,) = schedule.take_due(10, 1000)
    assert again._replace(due=None) == taken[0]._replace(due=None)
    schedule.published(taken)  # of a lease that is over
    assert schedule.find("a")
    schedule.published([again])
    assert schedule.find("a") is None
    assert schedule.count() == routes.parked("default") == 0


@pytest.mark.timeout(420 if LONG else 180)
def test_mail_waits_while_its_server_is_gone(settings, smtp, tmp_path):
    with flowing(settings, smtp, tmp_path) as flow:
        flow.enqueue(MAILS)
        flow.until_arrived(MAILS // 4)
        with flow.outage():
            smtp.go()
            flow.enqueue_meanwhile(ABSENCE)
            paused = routes.paused(routes.DEFAULT)
            assert paused
            assert paused.kind == "away"
        smtp.come()
    tries = sum(one.log.count("ConnectionRefusedError") for one in flow.workers.values())
    assert 3 <= tries < TRIES
    assert routes.paused(routes.DEFAULT) is None


def test_mail_waits_while_its_server_is_silent(settings, smtp, tmp_path):
    with Proxy(LOCALHOST, smtp.port) as proxy:
        settings |= {"EMAIL_PORT": str(proxy.port)}
        with flowing(settings, smtp, tmp_path) as flow:
            flow.enqueue(MAILS)
            flow.until_arrived(MAILS // 4)
            before = proxy.connections
            with flow.outage():
                proxy.cut()
                flow.enqueue_meanwhile(5)
                until(lambda: routes.paused(routes.DEFAULT), 20, flow.told)
                tries = proxy.connections - before
                proxy.mend()
    assert 3 <= tries < TRIES
    assert routes.paused(routes.DEFAULT) is None


def test_mail_waits_while_its_server_says_421_to_all_of_it(settings, smtp, tmp_path):
    connections = set()

    def closed(verb, argument, connection):
        connections.add(connection)
        return "421 4.3.2 come back later"

    with flowing(settings, smtp, tmp_path) as flow:
        flow.enqueue(MAILS)
        flow.until_arrived(MAILS // 4)
        usual = smtp.script
        with flow.outage():
            smtp.script = closed
            flow.enqueue_meanwhile(5)
            until(lambda: routes.paused(routes.DEFAULT), 20, flow.told)
            smtp.script = usual
    assert 3 <= len(connections) < TRIES
    assert routes.paused(routes.DEFAULT) is None
