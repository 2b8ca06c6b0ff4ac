"""Workers killed while they send: nothing is lost, and twice comes only what nobody could know."""

import pytest
from support.brokers import delete_rabbitmq_queue
from support.killing.loop import KillLoop, Plan
from support.killing.outcome import Outcome
from support.outages import KillableRedis

PLAN = Plan(mails=1500, kills=5, seed=3, limit=150)


@pytest.fixture
def state():
    with KillableRedis() as server:
        yield server


def holds(outcome: Outcome) -> bool:
    assert outcome.finished
    assert outcome.sent == PLAN.mails
    assert len(outcome.kills) == PLAN.kills
    assert list(outcome.lost) == []
    assert outcome.arrived + outcome.kept == outcome.sent
    assert list(outcome.unexplained) == []
    assert outcome.duplicates <= outcome.bound
    assert outcome.left == 0
    return outcome.good


def test_kills_lose_no_mail_on_redis(state, queue_name, tmp_path):
    broker = {"MAILQUEUE_BROKER_URL": state.url, "MAILQUEUE_QUEUE": queue_name}
    assert holds(KillLoop(PLAN, broker, tmp_path).run())


@pytest.mark.rabbitmq
def test_kills_lose_no_mail_on_rabbitmq(state, rabbitmq_url, queue_name, tmp_path):
    broker = {
        "MAILQUEUE_BROKER_URL": rabbitmq_url,
        "MAILQUEUE_REDIS_URL": state.url,
        "MAILQUEUE_QUEUE": queue_name,
    }
    try:
        assert holds(KillLoop(PLAN, broker, tmp_path).run())
    finally:
        delete_rabbitmq_queue(queue_name)
