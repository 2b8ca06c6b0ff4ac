"""Celery's worker on this transport: long tasks keep their lease, through a lost connection too."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
import redis
from support.processes import environment, until

LEASE = 2
TASK = 6.0

APP = """
import os, sys, time
import redis
from celery import Celery
from kombu.transport import TRANSPORT_ALIASES
TRANSPORT_ALIASES["redis"] = "worker.transport:Transport"
url, queue, *options = sys.argv[1:]
app = Celery("probe", broker=url)
app.conf.update(
    task_default_queue=queue, task_acks_late=True, task_reject_on_worker_lost=True,
    task_ignore_result=True, worker_prefetch_multiplier=1, broker_connection_max_retries=None,
    worker_cancel_long_running_tasks_on_connection_loss=False, broker_channel_error_retry=True,
    broker_connection_retry_on_startup=True, worker_hijack_root_logger=True,
    broker_transport_options={
        "visibility_timeout": LEASE, "unacked_restore_interval": 0.5, "socket_timeout": 5,
        "unacked_restore_throttle": 1, "priority_steps": [0], "health_check_interval": 5,
        "unacked_key": f"{queue}:unacked", "unacked_index_key": f"{queue}:unacked_index"})

@app.task(name="probe.run")
def run(name, seconds):
    client = redis.Redis.from_url(url)
    client.rpush(f"{queue}:begun", name)
    time.sleep(seconds)
    client.rpush(f"{queue}:done", name)

if options == ["send"]:
    for name, seconds in (("long", TASK), ("short", 0)):
        run.delay(name, seconds)
else:
    app.worker_main(["worker", "--loglevel", "INFO", *options])
""".replace("LEASE", str(LEASE)).replace("TASK", str(TASK))


def command(redis_server, queue: str, *options: str) -> list[str]:
    return [sys.executable, "-c", APP, redis_server.tcp_url, queue, *options]


@contextmanager
def probe(redis_server, queue, log, *options):
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(redis_server, queue, *options),
            env=environment({}),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until(lambda: " ready." in log.read_text() or process.poll() is not None, 30, log.read_text)
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.parametrize(
    ("pool", "trouble"),
    [
        ("prefork", "none"),
        ("prefork", "connections cut"),
        ("prefork", "told to stop"),
        ("threads", "none"),
        ("threads", "connections cut"),
        # Here the event loop stands still, while a task runs or while the worker ends.
        ("threads", "told to stop"),
        ("solo", "none"),
    ],
)
def test_a_long_task_runs_once(redis_server, queue_name, tmp_path, pool, trouble):
    client = redis.Redis(port=redis_server.port)
    begun, done = f"{queue_name}:begun", f"{queue_name}:done"
    options = ("--pool", pool, "--concurrency", "1")
    log, other_log = tmp_path / "worker.log", tmp_path / "other.log"
    with probe(redis_server, queue_name, log, *options) as process:
        subprocess.run(command(redis_server, queue_name, "send"), env=environment({}), check=True)
        until(lambda: client.llen(begun) >= 1, 10, log.read_text)
        if trouble == "connections cut":
            client.client_kill_filter(_type="normal", skipme=True)
        elif trouble == "told to stop":
            process.terminate()
        # A second worker would take the long task over, were its lease not renewed.
        with probe(redis_server, queue_name, other_log, *options):
            until(lambda: client.llen(done) >= 2, 30, log.read_text)
            until(lambda: not client.hlen(f"{queue_name}:unacked"), 5, log.read_text)
            time.sleep(0.5)
            logs = log.read_text() + other_log.read_text()
            assert sorted(client.lrange(begun, 0, -1)) == [b"long", b"short"], logs
            assert sorted(client.lrange(done, 0, -1)) == [b"long", b"short"], logs
    assert client.llen(queue_name) == 0
