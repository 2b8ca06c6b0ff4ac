"""Two workers in containers of their own, one broker: they share the work, and a kill's remains."""

import pytest
from support.smoke.nodes import CONCURRENCY, status


@pytest.fixture
def celery_worker_cluster(two_workers):
    return two_workers


def test_two_workers_share_the_work_and_one_takes_over_from_the_other(mail_setup, sink):
    load, (first, second) = mail_setup.load, mail_setup.worker_cluster
    assert len(mail_setup.app.control.ping(timeout=10, limit=2)) == 2

    sink.pause = 0.1
    load.enqueue(120)
    load.until_arrived(60)
    for worker in (first, second):
        assert "sent id=" in worker.logs()
    assert load.connections >= 2 * CONCURRENCY
    assert load.duplicates == 0

    first.kill()
    assert load.promised - load.arrived
    sink.pause = 0.0
    load.until_settled()
    assert load.duplicates <= CONCURRENCY
    # Its batches went to the other one: nobody started it again.
    assert status(first) == "exited"
    assert status(second) == "running"
