"""How long a password reset takes while a newsletter of 20,000 is being sent.

For each broker, a worker of two processes begins on the newsletter; then one mail of high priority
is enqueued, several times, a second apart. Printed is how many of the newsletter arrived between
that and its arrival, and the seconds; then the same seconds with nothing else to do, for each
priority, and what an idle worker costs.

RabbitMQ is measured where one answers (``MAILQUEUE_TEST_AMQP_URL``).
"""

import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.brokers import AMQP_URL, delete_rabbitmq_queue, rabbitmq_trouble, redis_server
from support.prioritised import published
from support.processes import until, worker
from support.smtp import SmtpServer

from mailqueue import conf
from mailqueue.broker import PRIORITIES
from mailqueue.envelope import Priority

NEWSLETTER = 20_000
RESETS = 5
IDLE_MAILS = 10
IDLE_SECONDS = 10.0
PATIENCE = 60.0


@contextmanager
def brokers() -> Iterator[list[dict[str, str]]]:
    """Settings for each broker that there is, with a queue of its own."""
    queue = f"bench-{uuid.uuid4().hex[:12]}"
    with redis_server() as state:
        found = [{"MAILQUEUE_QUEUE": queue, "MAILQUEUE_BROKER_URL": state.tcp_url}]
        if trouble := rabbitmq_trouble():
            print(trouble)
        else:
            there = {"MAILQUEUE_BROKER_URL": AMQP_URL, "MAILQUEUE_REDIS_URL": state.tcp_url}
            found.append({"MAILQUEUE_QUEUE": f"{queue}-amqp", **there})
        try:
            yield found
        finally:
            if not trouble:
                delete_rabbitmq_queue(f"{queue}-amqp")


def arrival(smtp: SmtpServer, priority: Priority) -> tuple[int, float]:
    """Enqueue one mail; how many others arrived before it, and the seconds it took."""
    before = len(smtp.received)
    wanted = f"{priority}@example.com"
    began = time.perf_counter()
    published(priority)
    at = before
    while True:
        while at < len(smtp.received):
            if smtp.received[at].recipients == [wanted]:
                return at - before, time.perf_counter() - began
            at += 1
        if time.perf_counter() - began > PATIENCE:
            sys.exit(f"a mail of {priority} priority did not arrive within {PATIENCE:g} s")
        time.sleep(0.001)


def cpu_seconds(pid: int) -> float:
    """What a process has used so far; Linux only."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(settings: dict[str, str], log: Path) -> None:
    """All of it, on one broker."""
    broker = settings["MAILQUEUE_BROKER_URL"].partition(":")[0]
    with SmtpServer() as smtp:
        settings = settings | {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(smtp.port)}
        conf.configure(**settings)
        with worker(settings, log) as running:
            for priority in PRIORITIES:
                taken = []
                for _ in range(IDLE_MAILS):
                    time.sleep(0.3)
                    taken.append(arrival(smtp, priority)[1])
                median, worst = statistics.median(taken), max(taken)
                print(f"{broker}: idle, {priority}: {median:.3f} s, at the worst {worst:.3f} s")
            began = cpu_seconds(running.process.pid)
            time.sleep(IDLE_SECONDS)
            used = (cpu_seconds(running.process.pid) - began) / IDLE_SECONDS
            print(f"{broker}: an idle worker uses {used:.1%} of a processor")
            at = len(smtp.received)
            published("bulk", NEWSLETTER)
            until(lambda: len(smtp.received) > at, PATIENCE)
            for _ in range(RESETS):
                time.sleep(1)
                overtaken_by, seconds = arrival(smtp, "high")
                print(f"{broker}: high, {overtaken_by} bulk mails before it, {seconds:.2f} s")
            left = NEWSLETTER - (len(smtp.received) - at - RESETS)
            print(f"{broker}: {left} of {NEWSLETTER} bulk mails were left then")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="mq") as directory, brokers() as found:
        for number, settings in enumerate(found):
            measure(settings, Path(directory) / f"{number}.log")


if __name__ == "__main__":
    main()
