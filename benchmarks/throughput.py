"""mailqueue beside Django's own SMTP backend, in one run, to the same kind of server.

Each round measures everything once; the table shows the median of the rounds. Every mail is
counted at the server: a rate for mail that did not arrive would mean nothing.
"""

import os
import smtplib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

import mailqueue
from mailqueue.settings import NAMES

ROUNDS = 3
MAILS = 1500
SINGLY = 500
BODY = "Dear reader, there is news of the kind that one reads at breakfast.\n" * 15
PATIENCE = 60.0

MassMail = tuple[str, str, str, list[str]]

DJANGO = """
import sys
from django.conf import settings
settings.configure(EMAIL_HOST="127.0.0.1", EMAIL_PORT=int(sys.argv[1]))
from django.core.mail import send_mass_mail
sys.path.insert(0, sys.argv[2])
from throughput import mails
assert send_mass_mail(mails(int(sys.argv[3]))) == int(sys.argv[3])
"""


def mails(count: int) -> list[MassMail]:
    return [
        (f"News, no. {n}", BODY, "us@example.com", [f"reader{n}@example.com"]) for n in range(count)
    ]


class Sink:
    """The server's process, as seen from here."""

    def __init__(self, port: int) -> None:
        self.port = port

    def state(self) -> tuple[int, float]:
        """Messages received, and seconds between the first and the last of them."""
        with smtplib.SMTP("127.0.0.1", self.port, local_hostname="bench") as client:
            count, seconds = client.noop()[1].split()
        return int(count), float(seconds)

    def rate(self, expected: int = MAILS) -> float:
        """Mails per second between the first and the last; they must be all that were sent."""
        count, seconds = self.state()
        if count != expected:
            sys.exit(f"{count} mails arrived at the server, {expected} were sent")
        return (count - 1) / seconds


@contextmanager
def sink() -> Iterator[Sink]:
    """A new server, which has counted nothing yet."""
    command = [sys.executable, str(Path(__file__).with_name("sink.py"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Sink(int(process.stdout.readline()))
        finally:
            process.terminate()


def django() -> float:
    """Django's backend: a list of mails over one connection, no queue."""
    with sink() as server:
        here = str(Path(__file__).parent)
        command = [sys.executable, "-c", DJANGO, str(server.port), here, str(MAILS)]
        subprocess.run(command, check=True)
        return server.rate()


def enqueue(send: Callable[[list[MassMail]], object], count: int = MAILS) -> float:
    """Mails per second that the calling process gets rid of."""
    batch = mails(count)
    started = time.perf_counter()
    send(batch)
    return count / (time.perf_counter() - started)


def one_by_one(batch: list[MassMail]) -> None:
    for mail in batch:
        mailqueue.EmailMessage(*mail).send()


def deliver(broker: str, log: Path, processes: int, count: int = MAILS) -> float:
    """One worker delivers what was enqueued before it was started."""
    with sink() as server, log.open("ab") as output:
        environment = {name: value for name, value in os.environ.items() if name not in NAMES}
        environment |= {
            "MAILQUEUE_BROKER_URL": broker,
            "EMAIL_HOST": "127.0.0.1",
            "EMAIL_PORT": str(server.port),
        }
        command = [sys.executable, "-P", "-m", "mailqueue", "worker", "-c", str(processes)]
        with subprocess.Popen(command, env=environment, stdout=output, stderr=output) as worker:
            try:
                deadline = time.monotonic() + PATIENCE
                while server.state()[0] < count and time.monotonic() < deadline:
                    if worker.poll() is not None:
                        sys.exit(f"the worker ended early:\n{log.read_text()[-2000:]}")
                    time.sleep(0.1)
            finally:
                worker.terminate()
        return server.rate(count)


def measured(broker: str, log: Path) -> Iterator[tuple[str, float]]:
    """One round: what is measured, and its rate."""
    mass = mailqueue.send_mass_mail
    yield "Django: deliver, a list over one connection, no queue", django()
    yield "enqueue with send_mass_mail()", enqueue(mass)
    yield "  deliver these, worker with 1 process", deliver(broker, log, 1)
    enqueue(mass)
    yield "  deliver these, worker with 2 processes", deliver(broker, log, 2)
    yield "enqueue with send(), one by one", enqueue(one_by_one, SINGLY)
    yield (
        "  deliver these, worker with 2 processes (1 mail a task)",
        deliver(broker, log, 2, SINGLY),
    )


def show(rates: dict[str, float]) -> None:
    base = next(iter(rates.values()))
    table = Table(box=None, pad_edge=False)
    table.add_column("what")
    table.add_column("mails/s", justify="right")
    table.add_column("ratio", justify="right")
    for what, rate in rates.items():
        table.add_row(what, f"{rate:.0f}", f"{rate / base:.2f}")
    Console(width=None if sys.stdout.isatty() else 80).print(table)
    total = ROUNDS * (3 * MAILS + SINGLY)
    print(f"medians of {ROUNDS} rounds; all {total} mails were counted at the server")


def main() -> None:
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="mq") as directory:
        broker = f"embedded://{directory}/redis"
        mailqueue.configure(MAILQUEUE_BROKER_URL=broker)
        mailqueue.warm_up()
        for _ in range(ROUNDS):
            for what, rate in measured(broker, Path(directory) / "worker.log"):
                rates.setdefault(what, []).append(rate)
    show({what: statistics.median(found) for what, found in rates.items()})


if __name__ == "__main__":
    main()
