"""What is no mail of ours is kept aside with its reason; the mails around it go on."""

import json
import pickle

import pytest
import redis
from kombu import Connection
from support.processes import python, until, worker

from mailqueue import conf
from mailqueue.broker import DELIVER, configuration, make_app
from mailqueue.failed import entries

MAIL = """
from mailqueue import send_mail
send_mail({subject!r}, "Body", "a@example.com", ["b@example.com"])
"""


@pytest.fixture
def settings(broker, smtp):
    return broker | {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(smtp.port)}


def envelope(**changes) -> str:
    fields = {"v": 1, "id": "f" * 32, "enqueued_at": 1.0, "subject": "Made by hand", "body": "x",
              "from_email": "a@example.com", "to": ["b@example.com"]}  # fmt: skip
    return json.dumps(fields | changes)


def put_garbage(settings) -> int:
    """Everything that somebody might put into the queue by mistake; returns how many."""
    conf.configure(**settings)
    app = make_app(configuration(conf.get_settings()))
    queue = settings["MAILQUEUE_QUEUE"]
    with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
        send = {"queue": queue, "producer": producer, "retry": False}
        app.send_task(DELIVER, args=([envelope(), "garbage", envelope(v=99), "{}", 7],), **send)
        app.send_task(DELIVER, args=("not a list",), **send)
        app.send_task(DELIVER, args=(), kwargs={"x": 1}, **send)
        app.send_task("somebody.elses.task", args=(1,), **send)
        to_queue = {"exchange": "", "routing_key": queue}
        task = {"task": DELIVER, "id": "1", "lang": "py", "argsrepr": "", "kwargsrepr": ""}
        publish = producer.publish
        publish("}{", content_type="application/json", content_encoding="utf-8", headers=task,
                **to_queue)  # fmt: skip
        publish(pickle.dumps((1, 2)), content_type="application/x-python-serialize",
                content_encoding="binary", headers=task, **to_queue)  # fmt: skip
        publish("[1, 2]", content_type="application/json", content_encoding="utf-8", headers=task,
                **to_queue)  # fmt: skip
        publish("hello", content_type="text/plain", content_encoding="utf-8", **to_queue)
        publish({"no": "task"}, serializer="json", headers={"task": ["x"]}, **to_queue)
        publish({"no": "task"}, serializer="json", headers={"task": DELIVER}, **to_queue)
        publish([[], {}, {}], serializer="json", headers=task | {"eta": "soon"}, **to_queue)
    return 4 + 1 + 1 + 1 + 7


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_each_kind_is_kept_with_its_reason_and_the_mails_around_it_arrive(
    settings, smtp, tmp_path, pool
):
    python(MAIL.format(subject="before"), settings)
    kept = put_garbage(settings)
    python(MAIL.format(subject="after"), settings)
    with worker(settings, tmp_path / "worker.log", "--pool", pool) as running:
        until(lambda: len(smtp.received) == 3, 30, lambda: running.log)
        until(lambda: len(list(entries())) >= kept, 30, lambda: (list(entries()), running.log))
        python(MAIL.format(subject="much later"), settings)
        until(lambda: len(smtp.received) == 4, 30, lambda: running.log)
    found = list(entries())
    assert len(found) == kept
    assert all(entry.reason == "undecodable" and entry.detail for entry in found)
    assert any("version 99" in entry.detail for entry in found)
    assert any(entry.data == b"garbage" for entry in found)


@pytest.mark.parametrize(
    "raw",
    [b"not json", b"\xff\xfe", b"[1]", b'"x"', b"{}", b'{"properties": {"delivery_tag": "x"}}'],
)
def test_what_is_pushed_onto_the_redis_list_itself_does_not_end_the_worker(
    redis_settings, redis_server, smtp, tmp_path, raw
):
    settings = redis_settings | {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(smtp.port)}
    conf.configure(**settings)
    client = redis.Redis.from_url(redis_server.tcp_url)
    client.lpush(settings["MAILQUEUE_QUEUE"], raw)
    with worker(settings, tmp_path / "worker.log", "--pool", "solo") as running:
        python(MAIL.format(subject="after"), settings)
        until(lambda: len(smtp.received) == 1, 30, lambda: running.log)
        until(lambda: list(entries()), 10, lambda: running.log)
    assert len(list(entries())) == 1
    assert client.llen(settings["MAILQUEUE_QUEUE"]) == 0


def test_content_does_not_reach_the_log(redis_settings, smtp, tmp_path):
    settings = redis_settings | {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(smtp.port)}
    conf.configure(**settings)
    app = make_app(configuration(conf.get_settings()))
    with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
        app.send_task(
            DELIVER,
            args=(["SECRET garbage", envelope(subject="SECRET subject", body="SECRET body")],),
            argsrepr="(2)",
            producer=producer,
            queue=settings["MAILQUEUE_QUEUE"],
        )
        producer.publish(
            "SECRET }{",
            content_type="application/json",
            content_encoding="utf-8",
            headers={"task": DELIVER, "id": "1", "argsrepr": "", "kwargsrepr": ""},
            exchange="",
            routing_key=settings["MAILQUEUE_QUEUE"],
        )
    with worker(settings, tmp_path / "worker.log") as running:
        until(lambda: len(smtp.received) == 1, 30, lambda: running.log)
        until(lambda: len(list(entries())) == 2, 10, lambda: running.log)
    assert "SECRET" not in running.log
    assert isinstance(app.connection_for_write(), Connection)
