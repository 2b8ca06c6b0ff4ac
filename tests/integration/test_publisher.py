"""Each batch is published to the queue of its priority."""

import redis
from support.filling import mail, waits
from support.prioritised import published
from support.processes import until

from mailqueue import conf
from mailqueue.desk.queue_length import queue_length
from mailqueue.publisher import Publisher
from worker.poller import Poller


def batches() -> dict[str, int]:
    return {name: one.batches for name, one in queue_length().by_priority.items()}


def test_each_priority_has_its_queue(broker):
    conf.configure(**broker)
    assert batches() == {"high": 0, "normal": 0, "bulk": 0}
    published("bulk", 150)
    published("normal", 2, size=1)
    published("high")
    until(lambda: batches() == {"high": 1, "normal": 2, "bulk": 3}, 10, batches)


def test_warming_up_declares_all(broker):
    conf.configure(**broker)
    Publisher(conf.get_settings()).warm()
    assert batches() == {"high": 0, "normal": 0, "bulk": 0}


def test_normal_mail_is_where_it_always_was(redis_settings, redis_server):
    conf.configure(**redis_settings)
    published("normal")
    published("bulk")
    client = redis.Redis(port=redis_server.port)
    name = redis_settings["MAILQUEUE_QUEUE"]
    assert [client.llen(key) for key in (f"{name}.high", name, f"{name}.bulk")] == [0, 1, 1]


def test_what_is_due_goes_back_to_its_own_queue(broker):
    conf.configure(**broker)
    for number in range(1, 10):
        waits(mail(number, priority=("high", "normal", "bulk")[number % 3]), delay=0)
    Poller().look()
    until(lambda: batches() == {"high": 1, "normal": 1, "bulk": 1}, 10, batches)


def test_a_document_that_is_none_is_published_as_normal(redis_settings):
    conf.configure(**redis_settings)
    from mailqueue.state import get_state, key

    get_state().hset(key("documents"), "x", "0|garbage")
    get_state().zadd(key("schedule"), {"x": 1})
    Poller().look()
    assert batches()["normal"] == 1
