"""What is counted: in the step that records an outcome, and of an SMTP server's answers."""

import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult
from support.outages import fixed_port
from support.smtp import SmtpServer

from mailqueue import EmailMessage, conf, health, ledger
from mailqueue.backends.smtp import EmailBackend
from mailqueue.ledger import Settlement, Wanted
from mailqueue.metrics.counts import KEPT, Counts, key_of, read
from mailqueue.outcomes import Status
from mailqueue.smtp.observing import observe
from mailqueue.state import get_state, hasty_state
from worker.health import Reporter
from worker.metrics import Meter

A = "a" * 32
ONE = Counts("one:1", {"x": 2, "y": 1})


@pytest.fixture(autouse=True)
def store(redis_settings):
    conf.configure(**redis_settings, MAILQUEUE_VISIBILITY_TIMEOUT=30)


def settle(run: str, status: Status = Status.SENT, counts: Counts | None = ONE) -> bool:
    return ledger.settle(run, "default", Settlement(A, 0, status), "", counts)[0]


def test_what_is_recorded_is_counted_and_kept_for_days():
    ledger.claim("r1", "default", [Wanted(A, 0)])
    assert settle("r1")
    assert read(hasty_state(), "one:1") == {"x": 2, "y": 1}
    assert 0 < get_state().ttl(key_of("one:1")) <= KEPT


def test_what_is_not_recorded_is_not_counted():
    ledger.claim("r1", "default", [Wanted(A, 0)])
    assert settle("r1")
    assert not settle("r1"), "said again, since the reply was lost"
    assert not settle("r2", Status.BOUNCED)
    assert read(hasty_state(), "one:1") == {"x": 2, "y": 1}


def test_without_counts_there_is_no_hash():
    ledger.claim("r1", "default", [Wanted(A, 0)])
    assert settle("r1", counts=None)
    assert read(hasty_state(), "one:1") == {}


def test_a_worker_that_has_no_private_place_says_so_and_goes_on(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    health.directory().mkdir(mode=0o700)
    health.directory().chmod(0o755)
    Reporter("one@host").start()
    assert "`mailqueue health` knows nothing of this worker" in caplog.text
    assert list(health.directory().iterdir()) == []


@pytest.fixture
def meter() -> Iterator[Meter]:
    meter = Meter("one:1", "r")
    observe(meter)
    yield meter
    observe(None)


def counted(meter: Meter) -> Counter[str]:
    """Without the histograms."""
    return Counter(
        {
            name: n
            for name, n in meter.counts().added.items()
            if name.split("|")[0].endswith("_total")
        }
    )


@contextmanager
def says(greeting: bytes) -> Iterator[int]:
    """A server that greets so, and says no more."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        clients = []

        def serve() -> None:
            client, _ = sock.accept()
            clients.append(client)
            client.sendall(greeting)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield sock.getsockname()[1]
        thread.join(10)
        for client in clients:
            client.close()


def opens(port: int, **options: Any) -> None:
    backend = EmailBackend("127.0.0.1", port, timeout=options.pop("timeout", 10), **options)
    with pytest.raises(OSError):  # noqa: PT011 - which one is not what is asked here
        backend.open()
    backend.close()


def test_why_a_connection_could_not_be_opened_is_counted(meter):
    opens(fixed_port())
    with says(b"") as port:
        opens(port, timeout=0.2)
    with says(b"554 5.7.1 go away\r\n") as port:
        opens(port)
    with says(b"220 no TLS here\r\n") as port:
        opens(port, use_ssl=True)
    closed: dict[str, Any] = {
        "authenticator": lambda *_: AuthResult(success=False, handled=False),
        "auth_require_tls": False,
    }
    with SmtpServer(**closed) as server:
        opens(server.port, username="user", password="wrong")
    assert counted(meter) == {
        "mailqueue_smtp_connections_total|r|unreachable": 1,
        "mailqueue_smtp_connections_total|r|timeout": 1,
        "mailqueue_smtp_connections_total|r|refused": 1,
        "mailqueue_smtp_replies_total|r|554": 1,
        "mailqueue_smtp_connections_total|r|tls": 1,
        "mailqueue_smtp_connections_total|r|login": 1,
        "mailqueue_smtp_replies_total|r|535": 1,
    }


def test_each_reply_that_ends_something_is_counted(meter, smtp):
    replies = {"bad@example.com": "550 no", "worse@example.com": "550 never", "data": "554 spam"}

    def script(verb: str, argument: str, connection: int) -> str | None:
        del connection
        if verb == "RCPT":
            return replies.get(argument)
        return replies["data"] if verb == "DATA" and len(smtp.received) == 1 else None

    smtp.script = script
    backend = EmailBackend("127.0.0.1", smtp.port)
    backend.open()
    to = (
        ["a@example.com", "bad@example.com"],
        ["bad@example.com", "worse@example.com"],
        ["b@example.com"],
    )
    messages = [EmailMessage("s", "b", "a@example.com", who) for who in to]
    attempts = list(backend.deliver_messages(iter(messages)))
    backend.close()
    assert [attempt.taken for attempt in attempts] == [True, False, False]
    assert counted(meter) == {
        "mailqueue_smtp_connections_total|r|ok": 1,
        "mailqueue_smtp_replies_total|r|250": 1,
        "mailqueue_smtp_replies_total|r|550": 3,
        "mailqueue_smtp_replies_total|r|554": 1,
    }
    seconds = meter.counts().added
    assert (
        sum(n for name, n in seconds.items() if "reply_seconds" in name and "sum" not in name) == 2
    )


def test_where_nobody_counts_nothing_is_told(meter, smtp):
    observe(None)
    backend = EmailBackend("127.0.0.1", smtp.port)
    backend.open()
    message = EmailMessage("s", "b", "a@example.com", ["b@example.com"])
    assert [one.taken for one in backend.deliver_messages(iter([message]))] == [True]
    backend.close()
    assert counted(meter) == {}


def test_a_child_that_outlives_its_worker_does_not_keep_the_port():
    """On Linux the kernel kills it with its parent; elsewhere nobody does."""
    program = """
import os, sys
from worker.endpoint import Endpoint
first = Endpoint("127.0.0.1", int(sys.argv[1]), None)
stays, leave = os.pipe()
is_there, arrive = os.pipe()
if not os.fork():
    os.close(leave)
    os.write(arrive, b"!")
    os.read(stays, 1)
    os._exit(0)
os.read(is_there, 1)
first.server_close()
Endpoint("127.0.0.1", int(sys.argv[1]), None)
"""
    command = [sys.executable, "-c", program, str(fixed_port())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
