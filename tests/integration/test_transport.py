"""No message is lost between Redis and a worker: not to a kill, a lost answer, or garbage."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from queue import Empty
from typing import Any

import pytest
import redis
from kombu import Connection, Queue
from support.processes import environment, until

from mailqueue import conf
from mailqueue.errors import ConfigurationError
from mailqueue.failed import entries
from worker.transport import Transport

LEASE = 2


class Setup:
    """A queue, and connections to it as workers have them."""

    def __init__(self, port: int, queue: str) -> None:
        self.port = port
        self.queue = queue
        self.client = redis.Redis(port=port)
        self._open: list[Connection] = []

    def connect(self, **options) -> Connection:
        name = self.queue
        connection = Connection(
            "127.0.0.1",
            port=self.port,
            transport=Transport,
            transport_options={
                "unacked_key": f"{name}:unacked",
                "unacked_index_key": f"{name}:unacked_index",
                "visibility_timeout": LEASE,
                "unacked_restore_throttle": 1,
                "priority_steps": [0],
                "socket_timeout": 5,
            }
            | options,
        )
        self._open.append(connection)
        return connection

    def channel(self, **options):
        return self.connect(**options).default_channel

    def publish(self, *bodies: str, queue: str = "") -> list[bytes]:
        """Push messages; returns what is on the list, byte for byte, the first one first."""
        with self.connect() as connection, connection.Producer() as producer:
            for body in bodies:
                producer.publish(body, routing_key=queue or self.queue, serializer="json")
        return self.waiting(queue)

    def waiting(self, queue: str = "") -> list[bytes]:
        found: Any = self.client.lrange(queue or self.queue, 0, -1)
        return found[::-1]

    @property
    def unacked(self) -> dict[bytes, bytes]:
        noted: Any = self.client.hgetall(f"{self.queue}:unacked")
        assert set(noted) == set(self.client.zrange(f"{self.queue}:unacked_index", 0, -1))
        return dict(noted)

    def close(self) -> None:
        for connection in self._open:
            connection.release()


@pytest.fixture
def setup(redis_server, queue_name):
    conf.configure(MAILQUEUE_BROKER_URL=redis_server.tcp_url, MAILQUEUE_QUEUE=queue_name)
    made = Setup(redis_server.port, queue_name)
    yield made
    made.client.config_set("maxmemory", 0)
    made.close()


def consume(connection, *queues: str, seconds: float = 5.0, no_ack: bool = False, count: int = 1):
    """Messages, as many as asked for or as come in time."""
    got: list = []
    with connection.Consumer(
        [Queue(name, exchange="", routing_key=name, no_declare=True) for name in queues],
        callbacks=[lambda _body, message: got.append(message)],
        no_ack=no_ack,
        accept=["json"],
    ):
        deadline = time.monotonic() + seconds
        while len(got) < count and time.monotonic() < deadline:
            with suppress(TimeoutError):
                connection.drain_events(timeout=0.2)
    return got


KILLED = """
import os, signal, sys
from kombu import Connection
from worker.transport import Transport
queue = sys.argv[2]
options = {"unacked_key": f"{queue}:unacked", "unacked_index_key": f"{queue}:unacked_index"}
connection = Connection("127.0.0.1", port=int(sys.argv[1]), transport=Transport,
                        transport_options=options)
channel = connection.default_channel
channel.qos.pop(channel.next_tag, [queue])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_killed_in_the_instant_of_taking_loses_nothing(setup):
    raw = setup.publish("precious", "second")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(setup.port), setup.queue],
        env=environment({}),
        timeout=30,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert setup.waiting() == raw[1:]
    assert list(setup.unacked.values()) == [setup.queue.encode() + b"\n" + raw[0]]
    qos = setup.channel().qos
    qos.restore_visible()
    assert setup.waiting() == raw[1:], "its lease has not ended"
    time.sleep(LEASE + 0.1)
    qos.restore_visible()
    assert setup.waiting() == raw, "byte for byte, and before those that came later"
    assert setup.unacked == {}


def test_taking_and_acknowledging(setup):
    setup.publish("a", "b", "c")
    connection = setup.connect()
    got = consume(connection, setup.queue, count=3)
    assert [message.payload for message in got] == ["a", "b", "c"]
    assert {message.delivery_tag.encode() for message in got} == set(setup.unacked)
    for message in got:
        message.ack()
    assert setup.unacked == {}
    assert setup.waiting() == []


def test_a_waiting_consumer_is_woken_at_once_and_the_wait_takes_nothing(setup):
    first, second = setup.connect(), setup.connect()
    # Both wait; then one message wakes both, and the one that comes too late waits on.
    assert consume(first, setup.queue, seconds=0.5) == []
    for connection in (first, second):
        channel = connection.default_channel
        channel._waiting = True
        channel.basic_consume(setup.queue, False, lambda message: message, "tag")
        connection.transport.cycle._register_BRPOP(channel)
    setup.publish("one")
    time.sleep(0.2)
    assert len(setup.waiting()) == 1
    for connection in (first, second):
        with pytest.raises(Empty):
            connection.default_channel._brpop_read()
        connection.transport.cycle._register_BRPOP(connection.default_channel)
    assert first.default_channel._brpop_read() is True
    with pytest.raises(Empty):
        second.default_channel._brpop_read()
    assert second.default_channel._waiting
    assert len(setup.unacked) == 1


def test_latency_of_a_wake_up(setup):
    connection = setup.connect()
    setup.publish("warm")
    consume(connection, setup.queue)[0].ack()
    got: list = []
    with connection.Consumer(
        [Queue(setup.queue, exchange="", no_declare=True)],
        callbacks=[lambda _, message: got.append(message)],
        accept=["json"],
    ):
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0.3)
        setup.publish("x")
        started = time.monotonic()
        connection.drain_events(timeout=5)
    assert len(got) == 1
    assert time.monotonic() - started < 0.1


@pytest.mark.parametrize("empty", [0, 1])
def test_several_queues(setup, empty):
    names = [f"{setup.queue}-a", f"{setup.queue}-b"]
    connection = setup.connect()
    assert consume(connection, *names, seconds=0.5) == []
    setup.publish("x", "y", queue=names[1 - empty])
    got = consume(connection, *names, seconds=2, count=2)
    assert [message.payload for message in got] == ["x", "y"]
    got[0].reject(requeue=True)
    assert len(setup.waiting(names[1 - empty])) == 1


def test_where_messages_go_back_to(setup):
    raw = setup.publish("a", "b", "c")
    connection = setup.connect()
    first, second = consume(connection, setup.queue, count=2)
    first.reject(requeue=True)
    assert setup.waiting() == [raw[2], raw[0]], "behind the others, or it would spin"
    second.channel._restore(second)
    assert setup.waiting() == [raw[1], raw[2], raw[0]], "what was not tried is next"
    assert setup.unacked == {}
    [second] = consume(connection, setup.queue)
    second.reject()
    assert setup.waiting() == [raw[2], raw[0]]
    assert setup.unacked == {}


def test_a_channel_that_closes_gives_back_what_was_not_begun_in_its_order(setup):
    raw = setup.publish("a", "b", "c")
    connection = setup.connect()
    assert len(consume(connection, setup.queue, count=3)) == 3
    connection.release()
    assert setup.waiting() == raw
    assert setup.unacked == {}


def test_a_pop_that_is_outstanding_at_the_end_is_returned(setup):
    raw = setup.publish("a")
    connection = setup.connect()
    channel = connection.default_channel
    channel.basic_consume(setup.queue, False, lambda message: message, "tag")
    connection.transport.cycle._register_BRPOP(channel)
    until(lambda: setup.unacked)
    channel.basic_cancel("tag")
    assert setup.waiting() == raw
    assert setup.unacked == {}


def test_an_answer_that_was_lost_is_asked_for_again(setup):
    raw = setup.publish("a", "b")
    connection = setup.connect()
    channel = connection.default_channel
    channel.basic_consume(setup.queue, False, lambda message: message, "tag")
    connection.transport.cycle._register_BRPOP(channel)
    until(lambda: setup.unacked)
    channel.client.connection.disconnect()
    assert not channel._in_poll
    [message] = consume(connection, setup.queue)
    assert message.payload == "a"
    assert setup.waiting() == raw[1:]
    assert len(setup.unacked) == 1


def test_a_lease_that_is_renewed_does_not_end_and_one_that_was_given_away_stays_away(setup):
    setup.publish("long", "given away")
    connection = setup.connect()
    long, away = consume(connection, setup.queue, count=2)
    other = setup.channel().qos
    other.restore_by_tag(away.delivery_tag)
    deadline = time.monotonic() + 2 * LEASE
    while time.monotonic() < deadline:
        connection.transport.renew_leases()
        other.restore_visible()
        time.sleep(LEASE / 4)
    assert list(setup.unacked) == [long.delivery_tag.encode()]
    assert len(setup.waiting()) == 1
    away.ack()
    assert len(setup.waiting()) == 1, "whoever has it now is not disturbed"


def test_an_acknowledgement_while_the_broker_is_away_is_made_up_for(setup, monkeypatch):
    setup.publish("a")
    connection = setup.connect()
    [message] = consume(connection, setup.queue)
    qos = message.channel.qos

    def refused(**_):
        raise redis.ConnectionError("away")

    with monkeypatch.context() as patch:
        patch.setattr(qos, "_forget", refused)
        message.ack()
        connection.transport.renew_leases()
    assert len(setup.unacked) == 1
    connection.transport.renew_leases()
    assert setup.unacked == {}


def test_an_acknowledgement_after_the_channel_closed(setup, monkeypatch):
    setup.publish("runs", "waits")
    connection = setup.connect()
    runs, waits = consume(connection, setup.queue, count=2)
    monkeypatch.setattr("worker.qos._running", lambda: {runs.delivery_tag})
    connection.release()
    assert [tag.decode() for tag in setup.unacked] == [runs.delivery_tag]
    assert len(setup.waiting()) == 1
    time.sleep(LEASE / 2)
    other = setup.connect()
    other.connect()
    other.transport.renew_leases()
    time.sleep(LEASE / 2 + 0.2)
    other.default_channel.qos.restore_visible()
    assert len(setup.unacked) == 1, "renewed through another channel"
    runs.ack()
    assert setup.unacked == {}
    del waits


def test_a_full_server_is_still_emptied(setup):
    raw = setup.publish("a", "b")
    setup.client.config_set("maxmemory", 1)
    connection = setup.connect()
    with pytest.raises(redis.ResponseError):
        setup.client.lpush(setup.queue, "more")
    first, second = consume(connection, setup.queue, count=2)
    connection.transport.renew_leases()
    first.ack()
    second.reject(requeue=True)
    assert setup.waiting() == raw[1:]
    [second] = consume(connection, setup.queue)
    second.ack()
    before = setup.client.info("stats")["total_commands_processed"]
    assert consume(connection, setup.queue, seconds=1) == []
    assert setup.client.info("stats")["total_commands_processed"] - before < 60, "it must not spin"
    setup.client.config_set("maxmemory", 0)
    setup.publish("c")
    assert [message.payload for message in consume(connection, setup.queue)] == ["c"]


@pytest.mark.parametrize("raw", [b"\xff\x00\n\xfe", b"not\njson", b"[1]"])
def test_garbage_is_kept_byte_for_byte_and_only_then_removed(setup, monkeypatch, raw):
    setup.client.lpush(setup.queue, raw)
    connection = setup.connect()

    def full(*_):
        raise redis.ConnectionError("the failed store is away")

    with monkeypatch.context() as patch:
        patch.setattr("worker.channel.set_aside", full)
        assert consume(connection, setup.queue, seconds=0.5) == []
    assert list(entries()) == []
    assert len(setup.unacked) == 1
    time.sleep(LEASE)
    connection.transport.renew_leases()
    connection.default_channel.qos.restore_visible()
    setup.publish("after")
    assert [message.payload for message in consume(connection, setup.queue)] == ["after"]
    assert [entry.data for entry in entries()] == [raw]
    assert len(setup.unacked) == 1


def test_a_note_of_another_program_is_not_dropped(setup):
    setup.client.hset(f"{setup.queue}:unacked", "old", '[{"body": "x"}, "", "q"]')
    setup.client.zadd(f"{setup.queue}:unacked_index", {"old": 1.0, "nothing behind it": 1.0})
    channel = setup.channel()
    channel.qos.restore_visible()
    assert setup.client.hlen(f"{setup.queue}:unacked") == 1
    channel.basic_consume(setup.queue, False, lambda message: message, "tag")
    channel.qos.restore_visible()
    assert setup.waiting() == [b'[{"body": "x"}, "", "q"]']
    assert setup.unacked == {}


def test_without_acknowledgement_nothing_is_kept(setup):
    setup.publish("a", "b")
    connection = setup.connect()
    assert len(consume(connection, setup.queue, no_ack=True)) == 1
    assert connection.default_channel.basic_get(setup.queue, no_ack=True).payload == "b"
    assert connection.default_channel.basic_get(setup.queue) is None
    assert setup.unacked == {}


def test_basic_get_looks_past_garbage(setup):
    setup.client.lpush(setup.queue, b"garbage")
    setup.publish("a")
    message = setup.channel().basic_get(setup.queue)
    assert message.payload == "a"
    assert list(setup.unacked) == [message.delivery_tag.encode()]
    assert [entry.data for entry in entries()] == [b"garbage"]


def test_many_are_given_back_in_their_order(setup):
    raw = setup.publish(*map(str, range(250)))
    channel = setup.channel()
    while channel.qos.pop(os.urandom(8).hex(), [setup.queue]):
        pass
    assert len(setup.unacked) == 250
    time.sleep(LEASE + 0.1)
    channel.qos.restore_visible()
    assert setup.unacked == {}
    assert sorted(setup.waiting()) == sorted(raw)


def test_a_server_without_blmove_is_refused_with_a_sentence(setup, monkeypatch):
    monkeypatch.setattr(redis.Redis, "execute_command", lambda *_, **__: [None])
    with pytest.raises(ConfigurationError, match=r"Redis 6\.2 or newer"):
        setup.connect().connect()
