"""What a killed worker loses on Redis: kombu's own transport beside ours, in one run.

A worker is killed (SIGKILL) at a random moment under load, again and again. Each task notes that
it ran; at the end a last worker empties the queue, dead workers' leases included. A task that
never ran is lost; one that ran twice was given out again, as it must be when nobody can know
whether it was finished. Before that, both are timed without kills.

    python benchmarks/broker_loss.py [--kills 25] [--pool solo]
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import redis
from celery import Celery
from kombu.transport import TRANSPORT_ALIASES
from rich.console import Console
from rich.table import Table

QUEUE = "loss"
RUNS = "runs"
LEASE = 3
BACKLOG = 4000
TIMED = 6000
ROUNDS = 3
PATIENCE = 30.0
TRANSPORTS = {
    "kombu": "kombu.transport.redis:Transport",
    "mailqueue": "worker.transport:Transport",
}


def make_app(transport: str, url: str) -> Celery:
    """An application of one task, with the settings for which no task should be lost."""
    TRANSPORT_ALIASES["redis"] = TRANSPORTS[transport]
    app = Celery("loss", broker=url, set_as_current=False)
    app.conf.update(
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "visibility_timeout": LEASE,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
            "priority_steps": [0],
        },
    )
    client = redis.Redis.from_url(url.replace("redis+socket", "unix"))

    @app.task(name="loss.run", bind=True, shared=False)
    def run(self: Any) -> None:
        client.hincrby(RUNS, self.request.id, 1)

    return app


def binary() -> str:
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found:
        return found
    from mailqueue.embedded.server import binary as bundled  # noqa: PLC0415 - only where needed

    return str(bundled())


@contextmanager
def server() -> Iterator[tuple[str, Any]]:
    """A Redis of our own, on a socket, that keeps nothing."""
    with tempfile.TemporaryDirectory(prefix="mq") as directory:
        path = Path(directory) / "redis.sock"
        process = subprocess.Popen(
            [binary(), "--port", "0", "--unixsocket", str(path), "--dir", directory, "--save", ""],
            stdout=subprocess.DEVNULL,
        )
        client = redis.Redis(unix_socket_path=str(path), decode_responses=True)
        try:
            for _ in range(100):
                with suppress(redis.ConnectionError):
                    client.ping()
                    break
                time.sleep(0.05)
            yield f"redis+socket://{path}", client
        finally:
            process.terminate()
            process.wait(10)


class Bench:
    """One transport's turn on one server."""

    def __init__(self, transport: str, pool: str, url: str, client: Any) -> None:
        self.transport = transport
        self.pool = pool
        self.url = url
        self.client = client
        self.sent: set[str] = set()
        self.client.flushall()
        app = make_app(transport, url)
        app.tasks["loss.run"].apply_async(task_id="0" * 36)
        pattern = client.rpop(QUEUE)
        # kombu's transport takes the tag as it comes, so each copy needs its own.
        tag = json.loads(pattern)["properties"]["delivery_tag"]
        self._pattern = pattern.replace(tag, "1" * 36)

    def send(self, count: int) -> None:
        """Queue tasks: copies of one that Celery made, for the sake of speed."""
        ids = [str(uuid.uuid4()) for _ in range(count)]
        self.sent.update(ids)
        pipe = self.client.pipeline(transaction=False)
        for id_ in ids:
            message = self._pattern.replace("0" * 36, id_).replace("1" * 36, str(uuid.uuid4()))
            pipe.lpush(QUEUE, message)
        pipe.execute()

    @contextmanager
    def worker(self) -> Iterator[None]:
        """A worker that has begun to work, killed with its children at the end."""
        before = self.ran
        process = subprocess.Popen(
            [sys.executable, __file__, "--worker", self.transport, "--url", self.url,
             "--pool", self.pool],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        )  # fmt: skip
        try:
            wait_until(lambda: self.ran > before)
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @property
    def ran(self) -> int:
        """Tasks that ran."""
        return int(self.client.hlen(RUNS))

    @property
    def left(self) -> int:
        """Tasks that are still to be done."""
        return int(self.client.llen(QUEUE) + self.client.hlen("unacked"))

    def kill(self, times: int) -> None:
        """Kill workers under load; let the last one finish."""
        for _ in range(times):
            self.send(max(0, BACKLOG - self.client.llen(QUEUE)))
            with self.worker():
                time.sleep(random.uniform(0.05, 0.5))
        self.send(1)
        with self.worker():
            wait_until(lambda: not self.left)

    def outcome(self) -> tuple[int, int]:
        """Tasks lost, and tasks that ran more than once."""
        runs = self.client.hgetall(RUNS)
        return len(self.sent - runs.keys()), sum(int(count) > 1 for count in runs.values())

    def rate(self) -> float:
        """Tasks a second from the first to the last of a backlog."""
        self.send(TIMED)
        with self.worker():
            started, first = time.perf_counter(), self.ran
            wait_until(lambda: self.ran >= TIMED, pause=0.005)
            return (TIMED - first) / (time.perf_counter() - started)


def wait_until(condition: Any, pause: float = 0.02) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("the worker did not do its work in time")
        time.sleep(pause)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--pool", default="solo")
    parser.add_argument("--worker", choices=TRANSPORTS)
    parser.add_argument("--url")
    options = parser.parse_args()
    if options.worker:
        arguments = ["worker", "--pool", options.pool, "--concurrency", "2", "--loglevel", "ERROR"]
        # Without talk among workers: a start is then ready in half the time.
        arguments += ["--without-gossip", "--without-mingle"]
        make_app(options.worker, options.url).worker_main(arguments)
    else:
        compare(options.kills, options.pool)


def compare(kills: int, pool: str) -> None:
    columns = ("transport", "tasks", "kills", "lost", "run twice", "tasks/s")
    table = Table(*columns, title=f"pool: {pool}")
    with server() as (url, client):
        rates: dict[str, list[float]] = {name: [] for name in TRANSPORTS}
        for _ in range(ROUNDS):
            for name in TRANSPORTS:
                rates[name].append(Bench(name, pool, url, client).rate())
        for name in TRANSPORTS:
            bench = Bench(name, pool, url, client)
            bench.kill(kills)
            lost, twice = bench.outcome()
            shown = (len(bench.sent), kills, lost, twice)
            table.add_row(name, *map(str, shown), f"{statistics.median(rates[name]):.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
