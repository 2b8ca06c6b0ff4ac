"""A password reset overtakes a newsletter, and the newsletter arrives all the same."""

import time

import pytest
from support.prioritised import published
from support.processes import until, worker
from support.smtp import SmtpServer

from mailqueue import conf, schedule
from mailqueue.desk.queue_length import queue_length
from mailqueue.state import get_state, key

#: Redis by its socket is no other than Redis.
pytestmark = pytest.mark.parametrize(
    "broker", ["redis-tcp", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)], indirect=True
)

#: What may arrive of 20,000 before the high mail that overtakes them: 1 %, four batches.
OVERTAKEN = 200


@pytest.fixture
def settings(broker, smtp):
    found = broker | {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(smtp.port)}
    conf.configure(**found)
    return found


@pytest.fixture
def smtp():
    """A server that takes so long that what is measured is the order, not the machine."""

    def slowly(verb, argument, connection):
        del argument, connection
        if verb == "DATA":
            time.sleep(0.005)

    with SmtpServer(slowly) as server:
        yield server


def arrived(smtp) -> list[str]:
    """Priorities, in the order of arrival."""
    return [mail.recipients[0].partition("@")[0] for mail in list(smtp.received)]


def await_arrived(running, smtp, count: int, priority: str = "") -> None:
    until(lambda: sum(priority in one for one in arrived(smtp)) >= count, 30, lambda: running.log)


def test_high_overtakes_bulk_waiting_or_just_enqueued(settings, smtp, tmp_path):
    published("bulk", 3000)
    published("high")
    with worker(settings, tmp_path / "worker.log") as running:
        await_arrived(running, smtp, 1, "high")
        assert arrived(smtp).index("high") <= OVERTAKEN
        for number in range(2, 6):
            # In the middle of it, with batches in the worker's hands.
            more = len(smtp.received) + 60
            await_arrived(running, smtp, more)
            before = len(smtp.received)
            published("high")
            await_arrived(running, smtp, number, "high")
            at = max(at for at, one in enumerate(arrived(smtp)) if one == "high")
            assert at - before <= OVERTAKEN
        normal_from = len(smtp.received)
        published("normal")
        await_arrived(running, smtp, 1, "normal")
        assert arrived(smtp).index("normal") - normal_from <= OVERTAKEN
        assert queue_length().by_priority["bulk"].batches, "too little bulk to be overtaken"


def test_bulk_and_normal_do_not_starve(settings, smtp, tmp_path):
    for priority in ("bulk", "normal", "high"):
        published(priority, 100, size=1)
    with worker(settings, tmp_path / "worker.log") as running:
        await_arrived(running, smtp, 60)
    order = arrived(smtp)[:60]
    assert order.count("bulk") >= 4, order
    assert order.count("normal") >= 6, order
    assert order.count("high") >= 20, order


def test_a_high_mail_that_is_deferred_comes_back_as_high(settings, smtp, tmp_path):
    refused: list[str] = []

    def greylist(verb, argument, connection):
        del connection
        if verb == "RCPT" and argument.startswith("high") and not refused:
            refused.append(argument)
            return "451 4.7.1 greylisted, try again later"
        return None

    smtp.script = greylist
    published("high")
    with worker(settings, tmp_path / "worker.log", "-Q", f"{settings['MAILQUEUE_QUEUE']}.high") as (
        running
    ):
        until(schedule.count, 30, lambda: running.log)
        [waiting] = schedule.entries()
        get_state().zadd(key("schedule"), {waiting.id: time.time()})
        # Nobody here takes anything from the other queues.
        until(lambda: arrived(smtp) == ["high"], 30, lambda: running.log)


def test_a_worker_for_one_priority_takes_no_other(settings, smtp, tmp_path):
    for priority in ("bulk", "normal", "high"):
        published(priority, 3, size=1)
    name = settings["MAILQUEUE_QUEUE"]
    with worker(settings, tmp_path / "first.log", "-Q", f"{name}.high") as running:
        await_arrived(running, smtp, 3)
        time.sleep(1)
    assert arrived(smtp) == ["high"] * 3
    with worker(settings, tmp_path / "second.log", "-Q", f"{name},{name}.bulk") as running:
        await_arrived(running, smtp, 9)
    assert sorted(arrived(smtp)[3:]) == ["bulk"] * 3 + ["normal"] * 3
