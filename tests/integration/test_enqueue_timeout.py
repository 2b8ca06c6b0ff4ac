"""A broker that is down, refuses or swallows packets: an error in time, never a hang."""

import importlib
import os
import socket
import threading
import time
from contextlib import contextmanager

import pytest
from support.brokers import free_port
from support.processes import python

import mailqueue
from mailqueue import EnqueueError, conf, send_mail, send_mass_mail

TIMEOUT = 1.0
#: The bound is the setting; a loaded machine gets as much again before we call it a hang.
BOUND = 2 * TIMEOUT + 1
DATA = ("Subject", "Body", "a@example.com", ["b@example.com"])


@contextmanager
def swallowing():
    """Accepts connections and never answers: a firewall that drops packets half-way."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


@contextmanager
def full():
    """A port whose handshakes are never completed: SYN packets get no answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port = server.getsockname()[1]
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        time.sleep(0.05)
        try:
            yield port
        finally:
            for filler in fillers:
                filler.close()


@contextmanager
def refusing():
    yield free_port()


@pytest.fixture(params=["swallowing", "full", "refusing"])
def dead_port(request):
    with {"swallowing": swallowing, "full": full, "refusing": refusing}[request.param]() as port:
        yield port


@pytest.fixture(params=["redis", "amqp"])
def dead_broker(request, dead_port):
    conf.configure(
        MAILQUEUE_BROKER_URL=f"{request.param}://guest:secret@127.0.0.1:{dead_port}//"
        if request.param == "amqp"
        else f"redis://:secret@127.0.0.1:{dead_port}/0",
        MAILQUEUE_ENQUEUE_TIMEOUT=TIMEOUT,
    )
    importlib.import_module("mailqueue.publisher")  # Celery's import is not what is timed
    return dead_port


@contextmanager
def in_time():
    started = time.monotonic()
    yield
    assert time.monotonic() - started < BOUND


def test_send_mail_raises_what_was_tried(dead_broker):
    with in_time(), pytest.raises(EnqueueError) as caught:
        send_mail(*DATA)
    assert f"127.0.0.1:{dead_broker}" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert len(caught.value.not_enqueued) == 1
    assert caught.value.enqueued == ()


def test_send_mail_returns_0_in_silence(dead_broker, caplog):
    with in_time():
        assert send_mail(*DATA, fail_silently=True) == 0
    assert "1 of 1 messages not enqueued" in caplog.text
    assert "b@example.com" not in caplog.text


def test_many_batches_do_not_add_up(dead_broker):
    conf.configure(MAILQUEUE_BATCH_SIZE=1)
    with in_time(), pytest.raises(EnqueueError) as caught:
        send_mass_mail([DATA] * 20)
    assert len(caught.value.not_enqueued) == 20


def test_threads_that_outnumber_the_connections_all_return_in_time(dead_broker):
    failures: list[Exception] = []

    def send() -> None:
        try:
            send_mail(*DATA)
        except EnqueueError as error:
            failures.append(error)

    threads = [threading.Thread(target=send) for _ in range(30)]
    with in_time():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(BOUND + 5)
    assert len(failures) == 30


def test_a_forked_child_returns_in_time(dead_broker):
    with pytest.raises(EnqueueError):
        send_mail(*DATA)
    pid = os.fork()
    if pid == 0:
        started = time.monotonic()
        try:
            send_mail(*DATA)
        except EnqueueError:
            os._exit(0 if time.monotonic() - started < BOUND else 3)
        os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


PRELOADED = """
import os, sys
from mailqueue import send_mail, send_mass_mail
data = ("Subject", "Body", "a@example.com", ["b@example.com"])
assert send_mail(*data) == 1                       # the master's connection is warm
children = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        try:
            ok = send_mail(*data) == 1 and send_mass_mail([data] * 120) == 120
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(2)
        os._exit(0 if ok else 1)
    children.append(pid)
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
assert codes == [0] * 4, codes
assert send_mail(*data) == 1                       # and the master's still works
"""


def test_children_of_a_preloaded_process_enqueue_beside_it(broker):
    python(PRELOADED, broker)


def test_counts_and_handles(broker):
    conf.configure(**broker)
    assert send_mail(*DATA) == 1
    assert send_mass_mail([DATA] * 7) == 7
    handles = mailqueue.enqueue([mailqueue.EmailMessage(*DATA[:3], DATA[3]) for _ in range(3)])
    assert len({handle.id for handle in handles}) == 3
    assert all(handle.id in handle.message_id for handle in handles)


def test_a_connection_that_died_while_idle_is_replaced(broker):
    """The broker's side is closed between two mails; the second one still gets through."""
    conf.configure(**broker)
    assert send_mail(*DATA) == 1
    from mailqueue.publisher import get_publisher

    connection = get_publisher()._connections.acquire()
    if "amqp" in broker["MAILQUEUE_BROKER_URL"]:
        connection.connection.transport.sock.shutdown(socket.SHUT_RDWR)
    else:
        for pooled in connection.default_channel.pool._available_connections:
            pooled._sock.shutdown(socket.SHUT_RDWR)
    connection.release()
    assert send_mail(*DATA) == 1
