"""``mailqueue stats``: every number, on each kind of broker."""

import json
import time

import pytest
from click.testing import CliRunner
from support.brokers import free_port
from support.filling import fails, mail, name, parks, queued, settle, waits
from support.prioritised import published

from mailqueue import conf, enqueue, failed, ledger, routes
from mailqueue.cli import main
from mailqueue.desk.overview import overview
from mailqueue.desk.queue_length import queue_length
from mailqueue.message import EmailMessage
from mailqueue.outcomes import Status
from mailqueue.state import get_state, key


def stats(*options, exit_code=0):
    result = CliRunner().invoke(main, ["stats", *options])
    assert result.exit_code == exit_code, (result.output, result.exception)
    assert "secret" not in result.output
    if "--json" not in options:
        assert all(len(line) <= 80 for line in result.stdout.splitlines()), result.stdout
    return result


def said() -> str:
    return " ".join(stats().stdout.split())


@pytest.fixture
def state(redis_settings):
    conf.configure(**redis_settings)
    return redis_settings


def test_an_empty_queue_is_all_zero(state):
    found = json.loads(stats("--json").stdout)
    assert found["queued"] == {
        "batches": 0, "messages": 0, "taken": 0, "oldest_at": None, "trouble": "",
        "by_priority": {
            priority: {"batches": 0, "messages": 0, "oldest_at": None}
            for priority in ("high", "normal", "bulk")
        },
    }  # fmt: skip
    assert found["routes"] == [{"route": "default", "paused": None, "parked": 0, "totals": {}}]
    assert "queued 0 mails in 0 batches in flight 0 mails waiting 0 mails parked 0 mails" in said()


def test_each_broker_tells_what_is_queued(broker):
    conf.configure(**broker, MAILQUEUE_BATCH_SIZE=2)
    assert json.loads(stats("--json").stdout)["queued"]["batches"] == 0
    enqueue([EmailMessage("x", "secret", "a@example.com", ["b@example.com"]) for _ in range(5)])
    deadline = time.monotonic() + 10
    while (found := json.loads(stats("--json").stdout)["queued"])["batches"] != 3:
        assert time.monotonic() < deadline, found
    if "amqp" in broker["MAILQUEUE_BROKER_URL"]:
        assert (found["messages"], found["oldest_at"]) == (None, None)
        assert "queued 3 batches" in said()
    else:
        assert found["messages"] == 5
        assert time.time() - 60 < found["oldest_at"] <= time.time()
        assert "queued 5 mails in 3 batches; the next was enqueued" in said()


def test_priorities_are_counted_apart(broker):
    conf.configure(**broker)
    on_redis = "amqp" not in broker["MAILQUEUE_BROKER_URL"]
    published("bulk", 4, size=2)
    await_batches(2)
    assert (
        "4 mails in 2 batches (4 bulk); the next" if on_redis else "2 batches (2 bulk)"
    ) in said()
    published("normal", 1)
    published("high", 1)
    await_batches(4)
    expected = "queued 4 batches (1 high, 1 normal, 2 bulk)"
    if on_redis:
        expected = "queued 6 mails in 4 batches (1 high, 1 normal, 4 bulk); the oldest was"
    assert expected in said()
    found = json.loads(stats("--json").stdout)["queued"]
    assert list(found["by_priority"]) == ["high", "normal", "bulk"]
    bulk = found["by_priority"]["bulk"]
    assert (bulk["batches"], bulk["messages"]) == (2, 4 if on_redis else None)
    assert (found["oldest_at"] is not None) == (bulk["oldest_at"] is not None) == on_redis


def await_batches(count):
    deadline = time.monotonic() + 10
    while (found := queue_length()).batches != count:
        assert time.monotonic() < deadline, found


def test_what_is_no_batch_of_ours_is_counted_and_harms_nothing(state):
    get_state().lpush(state["MAILQUEUE_QUEUE"], "garbage", "{}", '{"body": "!"}')
    assert "queued 0 mails in 3 batches in flight" in said()


def test_many_batches_are_counted_in_steps(state):
    for number in range(120):
        queued(state["MAILQUEUE_BROKER_URL"], state["MAILQUEUE_QUEUE"], mail(number), mail(number))
    assert "queued 240 mails in 120 batches; the next was enqueued 10 min ago" in said()


def test_everything_has_its_number(state):
    settle(mail(1), Status.SENT)
    settle(mail(2), Status.SENT, route="bulk")
    waits(mail(3), 200)
    waits(mail(4), 300)
    get_state().zadd(key("schedule"), {name(5): time.time() + 9000})  # nobody has met it
    fails(mail(6))
    fails(mail(7))
    failed.keep_undecodable(b"x", "no envelope")
    get_state().hincrby(key("totals"), "failed:pruned", 1234)
    ledger.claim("host/1/abc/50", "default", [ledger.Wanted(name(8), 0)])
    found = json.loads(stats("--json").stdout)
    assert found["in_flight"] == 50
    waiting = found["waiting"]
    assert (waiting["total"], waiting["scheduled"], waiting["deferred"]) == (3, 1, 2)
    assert 190 < waiting["next_due_at"] - time.time() <= 200
    assert found["failed"]["by_reason"] == {"bounced": 2, "undecodable": 1}
    assert (found["failed"]["total"], found["failed"]["pruned"]) == (3, 1234)
    assert time.time() - 60 < found["failed"]["oldest_at"] <= time.time()
    assert [(r["route"], r["totals"].get("sent")) for r in found["routes"]] == [
        ("bulk", 1), ("default", 1),
    ]  # fmt: skip
    text = said()
    assert "waiting 3 mails (1 scheduled, 2 deferred); the next is due in 3 min" in text
    assert "failed 3 mails (2 bounced, 1 undecodable); the oldest was kept" in text
    assert "1,234 discarded by age or number so far" in text


def test_a_paused_route_is_told_in_words_with_its_remedy(state):
    routes.pause("default", "login", "535 5.7.8 <me@example.com> no", first=600, longest=900,
                 probe=True)  # fmt: skip
    parks(mail(1))
    parks(mail(2))
    text = said()
    assert "parked 2 mails, until their route opens" in text
    assert "default paused 2" in text
    assert "2 mails wait; tried again in 9 min once corrected: mailqueue routes resume" in text
    assert json.loads(stats("--json").stdout)["parked"] == 2


def test_thousands_of_failed_mails_are_counted_without_being_fetched(state):
    pipe = get_state().pipeline()
    for number in range(2000):
        reason = "gave up" if number % 4 else "bounced"
        data = f'{{"id":"{name(number)}","reason":"{reason}","detail":"\\"reason\\":\\"x\\""}}'
        pipe.hset(key("failed"), name(number), data)
        pipe.zadd(key("failed", "by-time"), {name(number): number})
    pipe.execute()
    assert overview().failed.by_reason == {"bounced": 500, "gave up": 1500}


def test_a_broker_that_is_away_leaves_the_other_numbers(state):
    url = f"redis://:hunter2@127.0.0.1:{free_port()}/0"
    conf.configure(
        **state
        | {"MAILQUEUE_BROKER_URL": url, "MAILQUEUE_REDIS_URL": state["MAILQUEUE_BROKER_URL"]}
    )
    fails(mail())
    result = stats(exit_code=1)
    assert "not known: the broker does not answer" in result.stdout
    assert "1 mail (1 bounced)" in result.stdout
    assert "MAILQUEUE_BROKER_URL" in result.stderr
    assert "hunter2" not in result.output
    assert json.loads(stats("--json", exit_code=1).stdout)["queued"]["batches"] is None


def test_a_rabbitmq_that_is_away_is_told_at_once(state):
    conf.configure(
        **state
        | {
            "MAILQUEUE_BROKER_URL": f"amqp://guest:hunter2@127.0.0.1:{free_port()}//",
            "MAILQUEUE_REDIS_URL": state["MAILQUEUE_BROKER_URL"],
        }
    )
    started = time.monotonic()
    result = stats(exit_code=1)
    assert time.monotonic() - started < 5
    assert "hunter2" not in result.output
