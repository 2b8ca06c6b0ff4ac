"""A worker that is told to stop in the midst of its work: nothing lost, nothing sent twice.

The server takes its time between taking a mail and saying so. Whoever is broken off in that time
sends the mail once more; so a single worker that is not patient enough makes a test fail.
"""

import os
import random
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from support.killing.sink import RecordingSink
from support.processes import environment, until, worker

SECONDS_TO_STOP = 30
ENQUEUE = """
import sys
from mailqueue import EmailMessage, get_connection
first, count = map(int, sys.argv[1:])
get_connection().send_messages(
    EmailMessage(f"Mail {n}", "x", "a@example.com", [f"{n}@example.com"])
    for n in range(first, first + count)
)
"""


def enqueue(settings, first, count) -> None:
    subprocess.run(
        [sys.executable, "-c", ENQUEUE, str(first), str(count)],
        env=environment(settings), check=True, timeout=60,
    )  # fmt: skip


@contextmanager
def running(settings, log: Path, pool: str, exits) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that is started, not waited for, and that ends by itself once it is told to."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mailqueue", "worker", "--pool", pool, "--concurrency", "2",
             "--loglevel", "INFO"],
            env=environment(settings), stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield process
        assert process.wait(SECONDS_TO_STOP) in exits, log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def sink() -> Iterator[RecordingSink]:
    with RecordingSink() as server:
        yield server


@pytest.fixture
def settings(broker, sink) -> dict[str, str]:
    return broker | {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(sink.port)}


def reached(sink: RecordingSink, mails: int) -> bool:
    return sink.arrived >= mails


def each_came_once(sink: RecordingSink, mails: int) -> None:
    assert sink.arrived == mails
    twice = {mail: len(taken) for mail, taken in sink.taken.items() if len(taken) > 1}
    assert not twice
    assert not sink.broken  # every connection was ended with a goodbye


def to_the_main_process(process: subprocess.Popen[bytes]) -> None:
    process.terminate()


def to_all_of_them(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)


def to_quit(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGQUIT)


def stopped_in_the_midst(settings, sink, directory, pool, signalled, *, times, exits=(0,)) -> None:
    """Start a worker and stop it after a few mails, so many times; then let another one finish."""
    mails = 150 * (times + 1)
    enqueue(settings, 0, mails)
    sink.pause = 0.02
    rng = random.Random(f"{pool}{times}")
    for turn in range(times):
        before = sink.arrived
        log = directory / f"{turn}.log"
        with running(settings, log, pool, exits) as process:
            after = before + rng.randint(1, 60)
            until(partial(reached, sink, after), 60, log.read_text)
            signalled(process)
        assert sink.arrived < mails, "there was nothing left to hand back"
    sink.pause = 0.0
    with worker(settings, directory / "last.log", "--pool", pool) as last:
        until(partial(reached, sink, mails), 60, lambda: (sink.arrived, last.log))
    each_came_once(sink, mails)


BOTH = ["redis-tcp", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)]
QUICK = {"MAILQUEUE_STOP_TIMEOUT": "0.3"}


@pytest.mark.parametrize("broker", BOTH, indirect=True)
def test_ten_times_out_of_ten(settings, sink, tmp_path):
    stopped_in_the_midst(settings | QUICK, sink, tmp_path, "prefork", to_the_main_process, times=10)


@pytest.mark.parametrize("broker", BOTH, indirect=True)
@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_in_other_pools(settings, sink, tmp_path, pool):
    stopped_in_the_midst(settings | QUICK, sink, tmp_path, pool, to_the_main_process, times=2)


@pytest.mark.parametrize("broker", BOTH, indirect=True)
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_with_a_signal_to_each_of_its_processes(settings, sink, tmp_path, pool):
    """As systemd does unless told otherwise, and whoever kills a process group."""
    stopped_in_the_midst(settings, sink, tmp_path, pool, to_all_of_them, times=2)


@pytest.mark.parametrize("broker", BOTH, indirect=True)
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_that_has_to_quit_at_once(settings, sink, tmp_path, pool):
    """SIGQUIT: the mail at hand is finished, and nothing else."""
    stopped_in_the_midst(settings, sink, tmp_path, pool, to_quit, times=2, exits={0, 1})


@pytest.mark.parametrize("broker", ["redis-tcp"], indirect=True)
def test_it_does_not_wait_for_the_end_of_a_long_batch(settings, sink, tmp_path):
    """At a second for each mail, a batch would take most of a minute."""
    enqueue(settings, 0, 100)
    sink.pause = 1.0
    with running(settings | QUICK, tmp_path / "stopped.log", "prefork", {0}) as process:
        until(lambda: sink.arrived >= 2, 60, (tmp_path / "stopped.log").read_text)
        to_the_main_process(process)
    sink.pause = 0.0
    with worker(settings, tmp_path / "last.log") as last:
        until(partial(reached, sink, 100), 60, lambda: (sink.arrived, last.log))
    each_came_once(sink, 100)


@pytest.mark.parametrize("broker", ["redis-tcp"], indirect=True)
def test_it_finishes_its_batches_where_there_is_time(settings, sink, tmp_path):
    enqueue(settings, 0, 200)
    sink.pause = 0.02
    log = tmp_path / "stopped.log"
    with running(settings, log, "prefork", {0}) as process:
        until(lambda: sink.arrived >= 2, 60, log.read_text)
        to_the_main_process(process)
    assert "handed back" not in log.read_text()
    assert sink.arrived % 50 == 0


@pytest.mark.parametrize("broker", BOTH, indirect=True)
def test_a_rolling_restart_of_two_workers_under_load(settings, sink, tmp_path):
    """One after the other, three times each, while mail keeps coming."""
    sink.pause = 0.02
    settings = settings | QUICK
    mails = 0
    with ExitStack() as stack:
        fleet: deque[tuple[ExitStack, subprocess.Popen[bytes]]] = deque()

        def start(number: int) -> None:
            own = stack.enter_context(ExitStack())
            log = tmp_path / f"{number}.log"
            process = own.enter_context(running(settings, log, "prefork", {0}))
            fleet.append((own, process))
            until(lambda: b" ready." in log.read_bytes(), 60, log.read_text)

        start(0)
        start(1)
        for number in range(2, 8):
            enqueue(settings, mails, 150)
            mails += 150
            start(number)
            oldest, process = fleet.popleft()
            to_the_main_process(process)
            oldest.close()
        sink.pause = 0.0
        until(partial(reached, sink, mails), 60, lambda: sink.arrived)
        for _, process in fleet:
            to_the_main_process(process)
    each_came_once(sink, mails)
