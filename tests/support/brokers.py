"""Real brokers for tests.

Redis is always there: the machine's own ``redis-server`` where it has one, else the bundled one,
started privately, so that no service that happens to run makes a test pass. RabbitMQ has to be
provided (``MAILQUEUE_TEST_AMQP_URL``, by default the local one).
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import amqp
import redis

from mailqueue.broker import PRIORITIES, queue_name

AMQP_URL = os.environ.get("MAILQUEUE_TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672//")


class RedisServer(NamedTuple):
    tcp_url: str
    socket_url: str
    port: int


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as sock:
        port: int = sock.getsockname()[1]
        return port


def redis_binary() -> str:
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found:
        return found
    from mailqueue.embedded.server import binary

    return str(binary())


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """A private server on a free port and a socket; it keeps nothing."""
    port = free_port()
    # A short path: socket paths are limited to about 100 bytes.
    with tempfile.TemporaryDirectory(prefix="mq") as directory:
        path = Path(directory) / "redis.sock"
        process = subprocess.Popen(
            [redis_binary(), "--port", str(port), "--bind", "127.0.0.1", "--unixsocket", str(path),
             "--dir", directory, "--save", "", "--appendonly", "no"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            client = redis.Redis(port=port)
            deadline = time.monotonic() + 10
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.02)
            client.close()
            yield RedisServer(f"redis://127.0.0.1:{port}/0", f"redis+socket://{path}", port)
        finally:
            process.terminate()
            process.wait(10)


def rabbitmq_trouble() -> str | None:
    """Why RabbitMQ cannot be used; None where it can."""
    host, _, port = AMQP_URL.rpartition("@")[2].rstrip("/").partition(":")
    try:
        with amqp.Connection(f"{host}:{port or 5672}", connect_timeout=2) as connection:
            connection.connect()
    except (OSError, amqp.AMQPError) as error:
        return f"no RabbitMQ at {host}:{port} ({type(error).__name__})"
    return None


def delete_rabbitmq_queue(name: str) -> None:
    """Delete the queues of all priorities, those that there are."""
    host = AMQP_URL.rpartition("@")[2].rstrip("/")
    with amqp.Connection(host) as connection:
        channel = connection.channel()
        for priority in PRIORITIES:
            channel.queue_delete(queue_name(name, priority))
        channel.exchange_delete(name)
