"""The support code for outages does what it says; tests of outages rely on it."""

import hashlib
import os
import smtplib
import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import amqp
import psutil  # type: ignore[import-untyped]
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from support.outages import LOCALHOST, ComesAndGoes, KillableRedis, Proxy, fixed_port
from support.private_rabbitmq import PrivateRabbitMQ, require_private_rabbitmq
from support.processes import until

MAIL = ("me@example.com", ["you@example.com"], "Subject: hello\r\n\r\nbody\r\n")


def redis_client(port: int) -> redis.Redis:
    """Without redis-py's own retries, which would take their time."""
    return redis.Redis(port=port, socket_timeout=0.5, retry=Retry(NoBackoff(), 0))


def connect(port: int) -> socket.socket:
    return socket.create_connection((LOCALHOST, port), timeout=0.5)


def refuses(port: int) -> bool:
    with suppress(ConnectionRefusedError), connect(port):
        return False
    return True


# Redis


def test_a_killed_redis_comes_back_with_its_data():
    with KillableRedis() as server:
        client = redis_client(server.port)
        for number in range(100):
            client.rpush("list", number)
        server.kill()
        assert refuses(server.port)
        with pytest.raises(redis.ConnectionError):
            client.llen("list")
        server.start()
        assert client.llen("list") == 100
        client.set("more", "yes")
        server.kill()
        server.kill()  # nothing
        server.start()
        assert redis.Redis.from_url(server.url).get("more") == b"yes"
        directory = Path(server._directory.name)
    assert refuses(server.port)
    assert not directory.exists()


# SMTP


def test_an_smtp_server_goes_and_comes_back_on_its_port_with_what_it_had():
    with ComesAndGoes(present=False) as server:
        assert refuses(server.port)
        server.come()
        with smtplib.SMTP(LOCALHOST, server.port, timeout=5) as client:
            client.sendmail(*MAIL)
        connected = smtplib.SMTP(LOCALHOST, server.port, timeout=5)
        connected.ehlo()
        server.go()
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
            connected.sendmail(*MAIL)
        assert refuses(server.port)
        server.come()
        server.script = lambda verb, *_: "451 later" if verb == "MAIL" else None
        with smtplib.SMTP(LOCALHOST, server.port, timeout=5) as client:
            with pytest.raises(smtplib.SMTPSenderRefused):
                client.sendmail(*MAIL)
            server.script = None
            client.sendmail(*MAIL)
        assert len(server.received) == 2
    assert refuses(server.port)


# The proxy


@contextmanager
def echo():
    """Says back what it hears; yields its port and all it heard."""
    heard: list[bytes] = []
    listener = socket.create_server((LOCALHOST, 0))

    def answer(sock):
        with suppress(OSError), sock:
            while data := sock.recv(1 << 16):
                heard.append(data)
                sock.sendall(data)

    def accept():
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=[listener.accept()[0]], daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield listener.getsockname()[1], heard
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


@pytest.fixture
def echoing():
    """A proxy before an echo, and what the echo heard."""
    with echo() as (port, heard), Proxy(LOCALHOST, port) as proxy:
        yield proxy, heard


def drain(sock: socket.socket) -> None:
    while sock.recv(1 << 20):
        pass


def said_back(sock: socket.socket, data: bytes) -> bool:
    sock.sendall(data)
    return sock.recv(100) == data


def test_the_proxy_passes_every_byte_and_the_end(echoing):
    proxy, _ = echoing
    data = os.urandom(1 << 20) * 16
    with connect(proxy.port) as sock:
        sock.settimeout(20)

        def send():
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        back = hashlib.sha256()
        while part := sock.recv(1 << 16):
            back.update(part)
        sender.join()
    assert back.digest() == hashlib.sha256(data).digest()
    until(lambda: not proxy._tasks, 5)


@pytest.mark.parametrize("reset_old", [False, True])
def test_what_was_cut_stays_dead_and_new_connections_work(echoing, reset_old):
    proxy, heard = echoing
    with ExitStack() as closing:
        used, idle = (closing.enter_context(connect(proxy.port)) for _ in range(2))
        assert said_back(used, b"before")
        assert said_back(idle, b"before")
        proxy.cut()
        late = closing.enter_context(connect(proxy.port))  # accepted, and no more
        for sock in (used, late):
            with pytest.raises(TimeoutError):
                said_back(sock, b"swallowed")
        proxy.mend(reset_old=reset_old)
        assert said_back(closing.enter_context(connect(proxy.port)), b"after")
        for sock in (used, late):
            with pytest.raises(ConnectionResetError if reset_old else TimeoutError):
                sock.recv(100)
        with pytest.raises(TimeoutError):  # it sent nothing yet, so nobody tells it
            idle.recv(100)
        with pytest.raises(ConnectionResetError if reset_old else TimeoutError):
            said_back(idle, b"swallowed")
    assert b"".join(heard) == b"beforebeforeafter"
    assert proxy.connections == 4


def test_a_cut_line_fills_up_as_without_acknowledgements(echoing):
    proxy, _ = echoing
    with connect(proxy.port) as sock:
        proxy.cut()
        with pytest.raises(TimeoutError):
            sock.sendall(bytes(64 << 20))


def test_dropped_connections_are_reset_and_new_ones_work(echoing):
    proxy, _ = echoing
    with connect(proxy.port) as dead:
        assert said_back(dead, b"one")
        proxy.cut()
        proxy.mend()
        with connect(proxy.port) as live, connect(proxy.port) as silent:
            assert said_back(live, b"two")
            proxy.drop()
            for sock in (dead, live, silent):
                with pytest.raises(ConnectionResetError):
                    sock.recv(100)
    with connect(proxy.port) as sock:
        assert said_back(sock, b"three")


def test_an_interrupted_transfer_stops_in_the_middle(echoing):
    proxy, heard = echoing
    with connect(proxy.port) as sock:
        sock.settimeout(0.5)
        with suppress(TimeoutError):  # nobody reads what comes back, so all buffers fill
            sock.sendall(bytes(64 << 20))
        proxy.cut()
        proxy.mend()
        with pytest.raises(TimeoutError):  # what was on its way arrives, and no more
            drain(sock)
    assert 0 < sum(map(len, heard)) < 64 << 20


def test_the_proxy_resets_where_the_target_refuses_and_leaves_nothing_behind():
    with Proxy(LOCALHOST, fixed_port()) as proxy, connect(proxy.port) as sock:
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
        proxy.cut()
        swallowed = connect(proxy.port)
    with swallowed, pytest.raises(ConnectionResetError):
        swallowed.recv(1)
    assert refuses(proxy.port)
    assert not proxy._thread.is_alive()


def test_a_redis_client_times_out_on_a_cut_line_and_a_new_one_works(redis_server):
    with Proxy(LOCALHOST, redis_server.port) as proxy:
        old = redis_client(proxy.port)
        assert old.ping()
        proxy.cut()
        with pytest.raises(redis.TimeoutError):
            old.ping()
        with pytest.raises(redis.TimeoutError):
            redis_client(proxy.port).ping()
        proxy.mend()
        assert redis_client(proxy.port).ping()


# RabbitMQ


@pytest.mark.rabbitmq
def test_a_private_rabbitmq_keeps_messages_over_restart_and_kill_and_leaves_nothing_behind():
    require_private_rabbitmq()
    with PrivateRabbitMQ() as server:
        with amqp_channel(server) as channel:
            channel.queue_declare(
                "kept", durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"}
            )
            for number in range(3):
                channel.basic_publish_confirm(
                    amqp.Message(str(number), delivery_mode=2), routing_key="kept"
                )
        time.sleep(1)  # see kill()
        server.kill()
        assert refuses(server.port)
        server.start()
        with amqp_channel(server) as channel:
            assert channel.basic_get("kept", no_ack=True).body == "0"
        server.restart()
        with amqp_channel(server) as channel:
            assert channel.basic_get("kept", no_ack=True).body == "1"
            assert channel.basic_get("kept", no_ack=True).body == "2"
            assert channel.basic_get("kept", no_ack=True) is None
        directory = server._home
    assert refuses(server.port)
    assert not directory.exists()

    def ours():
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("HOME") == str(directory):
                    yield process

    until(lambda: not list(ours()), 10, lambda: list(ours()))


@contextmanager
def amqp_channel(server):
    where = f"{LOCALHOST}:{server.port}"
    with amqp.Connection(where, confirm_publish=True, read_timeout=20) as connection:
        yield connection.channel()
