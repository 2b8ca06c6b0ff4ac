"""Connections of a route, counted at the server: from accepting one to having closed it."""

import json
import os
import signal
from contextlib import ExitStack
from functools import partial
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
from support.counting_sink import CountingSink
from support.processes import Worker, until, worker

from mailqueue import EmailMessage, conf, enqueue, leases, ledger
from mailqueue.state import get_state, key

MOST = 3
#: Seconds; a third of it is the lease of a connection.
VISIBILITY_TIMEOUT = 9
PER_CONNECTION = 7


@pytest.fixture
def sink():
    # It takes its time: connections overlap, and kills hit some.
    with CountingSink(seconds=0.02, closing=0.1) as server:
        yield server


@pytest.fixture
def settings(redis_settings, sink):
    way = {
        "host": "127.0.0.1",
        "port": sink.port,
        "concurrency": MOST,
        "messages_per_connection": PER_CONNECTION,
    }
    found = redis_settings | {
        "MAILQUEUE_ROUTES": json.dumps({"narrow": way}),
        "MAILQUEUE_BATCH_SIZE": "20",
        "MAILQUEUE_VISIBILITY_TIMEOUT": str(VISIBILITY_TIMEOUT),
    }
    conf.configure(**found)
    return found


def send(count: int) -> set[str]:
    handles = enqueue(
        (EmailMessage(f"No. {n}", "x", "us@example.com", [f"r{n}@example.com"])
         for n in range(count)),
        route="narrow",
    )  # fmt: skip
    return {handle.message_id for handle in handles}


def arrived(sink: CountingSink) -> set[str]:
    return {one.message_id for one in list(sink.taken)}


def workers(stack: ExitStack, settings, directory, count: int) -> list[Worker]:
    return [
        stack.enter_context(worker(settings, directory / f"{n}.log", "--hostname", f"w{n}@%h"))
        for n in range(count)
    ]


def test_no_more_connections_than_the_route_may_have(settings, sink, tmp_path):
    with ExitStack() as stack:
        workers(stack, settings, tmp_path, 4)
        promised = send(400)
        until(lambda: arrived(sink) == promised, 90, lambda: len(sink.taken))
        until(lambda: leases.held("narrow") == 0, 10)
    assert len(sink.taken) == len(promised)
    assert sink.most_open == MOST
    assert max(sink.by_connection().values()) == PER_CONNECTION
    assert ledger.totals()["narrow"]["sent"] == len(promised)


def holders() -> dict[int, float]:
    """Processes that hold a connection, and the seconds until their leases end."""
    client: Any = get_state()
    seconds, micros = client.time()
    held = client.zrange(key("connections", "narrow"), 0, -1, withscores=True)
    return {int(name.split(b"/")[-3]): end - seconds - micros / 1e6 for name, end in held}


def holds(one: Worker) -> bool:
    """Whether a process of this worker, which has two, holds a connection."""
    return any(child.pid in holders() for child in psutil.Process(one.process.pid).children())


def gone(processes: set[int]) -> bool:
    """Whether none of them holds a connection."""
    return not processes & holders().keys()


def test_connections_of_killed_workers_come_back(settings, sink, tmp_path):
    with ExitStack() as stack:
        running = workers(stack, settings, tmp_path, 4)
        promised = send(600)
        until(lambda: len(sink.taken) > 50, 30)
        for _ in range(2):
            until(lambda: any(map(holds, running)), 30)
            victim = next(one for one in running if holds(one))
            children = {child.pid for child in psutil.Process(victim.process.pid).children()}
            os.killpg(victim.process.pid, signal.SIGKILL)
            victim.process.wait()
            running.remove(victim)
            # Nobody renews what it held any more.
            ends = [end for pid, end in holders().items() if pid in children]
            assert all(end <= VISIBILITY_TIMEOUT / 3 for end in ends)
            until(partial(gone, children), 30, holders)
        until(lambda: arrived(sink) == promised, 120, lambda: len(sink.taken))
        until(lambda: leases.held("narrow") == 0, 10)
    assert sink.most_open == MOST
    # Only what they had in hand may have come twice: a connection each process.
    assert len(sink.taken) - len(promised) <= 4
