"""Limits that four workers share: is any second above them, and how much of them is used?

For each kind of limit, four workers send for half a minute to a server that notes when it accepted
each mail. Printed is what it accepted in each second, the fullest second wherever that begins, and
the whole as a share of what was allowed. At the end Celery's own ``rate_limit`` does the same: it
holds for each worker, not for all of them.

Exits with 1 where a second is more than 10 % above a limit (or more than one message, for small
limits), or where less than 90 % of what is allowed was used.

    python benchmarks/limits.py [--seconds 30]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.brokers import redis_server
from support.counting_sink import CountingSink, Taken, fullest
from support.processes import environment, until, worker

from mailqueue import EmailMessage, conf, enqueue, ledger

WORKERS: Final = 4
RATE: Final = 50
SLOW_RATE: Final = 5
DAY: Final = 600
ABOVE: Final = 1.10
USED: Final = 0.90
SLOW: Final = "slow.example"
#: Seconds for the first mail to arrive.
_PATIENCE: Final = 60.0

CELERY: Final = """
import os, smtplib
from celery import Celery
app = Celery("compared", broker=os.environ["COMPARED_BROKER"])
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=4)

@app.task(name="compared.send", rate_limit="{rate}/s")
def send(number):
    with smtplib.SMTP("127.0.0.1", int(os.environ["COMPARED_PORT"]), "bench") as client:
        client.sendmail("us@example.com", [f"reader{{number}}@example.com"], "Subject: x")
"""


class Measure(NamedTuple):
    """What is counted of the mail, and what is allowed of it."""

    what: str
    counts: Callable[[Taken], int]
    #: In a second.
    limit: int
    #: In all the time, where that is less than the seconds allow.
    whole: int | None = None


class Scenario(NamedTuple):
    """A route with limits, the mail for it, and what is looked at."""

    name: str
    route: dict[str, Any]
    to: Callable[[int], list[str]]
    measures: tuple[Measure, ...]


def _one_each(number: int) -> list[str]:
    return [f"reader{number}@example.com"]


def _up_to_three(number: int) -> list[str]:
    return [f"reader{number}-{n}@example.com" for n in range(1 + number % 3)]


def _every_other_slow(number: int) -> list[str]:
    return [f"reader{number}@{SLOW if number % 2 else 'example.com'}"]


def _message(taken: Taken) -> int:
    del taken
    return 1


def _recipients(taken: Taken) -> int:
    return len(taken.recipients)


def _is_slow(taken: Taken) -> int:
    return int(taken.recipients[0].endswith(SLOW))


def _is_other(taken: Taken) -> int:
    return 1 - _is_slow(taken)


SCENARIOS: Final = (
    Scenario(
        f"{RATE}/s",
        {"limits": [f"{RATE}/s"]},
        _one_each,
        (Measure("messages", _message, RATE),),
    ),
    Scenario(
        f"{RATE}/s and {DAY}/day",
        {"limits": [f"{RATE}/s", f"{DAY}/day"]},
        _one_each,
        (Measure("messages", _message, RATE, DAY),),
    ),
    Scenario(
        f"{RATE} recipients/s, mails with 1 to 3",
        {"limits": [f"{RATE} recipients/s"]},
        _up_to_three,
        (Measure("recipients", _recipients, RATE),),
    ),
    Scenario(
        f"{RATE}/s, and {SLOW_RATE}/s for a domain that half of the mail is for",
        {
            "limits": [f"{RATE}/s"],
            "domains": {"slow": {"domains": [SLOW], "limits": [f"{SLOW_RATE}/s"]}},
        },
        _every_other_slow,
        (
            Measure("all", _message, RATE),
            Measure("that domain", _is_slow, SLOW_RATE),
            # What the domain does not use is theirs.
            Measure("the others", _is_other, RATE, -SLOW_RATE),
        ),
    ),
)


class Row(NamedTuple):
    """A measure, measured."""

    what: str
    seconds: list[int]
    fullest: int
    allowed_in_second: int
    total: int
    allowed: int

    @property
    def is_good(self) -> bool:
        """Whether the limit held and was used."""
        most = max(self.allowed_in_second * ABOVE, self.allowed_in_second + 1)
        return self.fullest <= most and self.total >= USED * self.allowed


def measured(measure: Measure, taken: list[Taken], seconds: int) -> Row:
    """From the first mail on, for so many seconds."""
    first = taken[0].at
    counted = [(one.at, measure.counts(one)) for one in taken if one.at < first + seconds]
    by_second = [0] * seconds
    for at, count in counted:
        by_second[int(at - first)] += count
    allowed = measure.limit * seconds
    if measure.whole is not None:
        allowed = min(allowed, measure.whole) if measure.whole > 0 else (
            allowed + measure.whole * seconds
        )  # fmt: skip
    total = sum(by_second)
    return Row(measure.what, by_second, fullest(counted), measure.limit, total, allowed)


@contextmanager
def workers(settings: dict[str, str], directory: Path) -> Iterator[None]:
    """Four of them, started side by side."""
    starting = [
        worker(settings, directory / f"worker{n}.log", "--hostname", f"limits{n}@%h")
        for n in range(WORKERS)
    ]
    with ExitStack() as stack, ThreadPoolExecutor() as all_:
        list(all_.map(stack.enter_context, starting))
        yield


def run(scenario: Scenario, url: str, directory: Path, seconds: int) -> list[Row]:
    """Send by a route of its own, in a queue of its own."""
    directory.mkdir()
    with CountingSink() as sink:
        route = {"host": "127.0.0.1", "port": sink.port, **scenario.route}
        settings = {
            "MAILQUEUE_BROKER_URL": url,
            "MAILQUEUE_QUEUE": directory.name,
            "MAILQUEUE_ROUTES": json.dumps({"relay": route}),
        }
        conf.configure(**settings)
        with workers(settings, directory):
            # More than is allowed, whatever is counted.
            numbers = range(RATE * (seconds + 10) * 2)
            enqueue(
                (EmailMessage(f"No. {n}", "x", "us@example.com", scenario.to(n)) for n in numbers),
                route="relay",
            )
            watch(sink, seconds)
        done = ledger.totals().get("relay", {})
        print(f"  put into a line {done.get('deferred', 0) / max(1, done.get('sent', 0)):.1f} "
              "times for each mail sent")  # fmt: skip
    return [measured(measure, sink.taken, seconds) for measure in scenario.measures]


def celery(url: str, directory: Path, seconds: int) -> list[Row]:
    """The same with Celery alone, a task for each mail."""
    directory.mkdir()
    (directory / "compared.py").write_text(CELERY.format(rate=RATE))
    with CountingSink() as sink, (directory / "log").open("wb") as log:
        surroundings = environment({}) | {
            "COMPARED_BROKER": url,
            "COMPARED_PORT": str(sink.port),
            "PYTHONPATH": str(directory),
        }
        command = [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "compared",
            "worker",
            "-c",
            "2",
            "-l",
            "INFO",
        ]
        running = [
            subprocess.Popen([*command, "-n", f"compared{n}@%h"], env=surroundings,
                             stdout=log, stderr=log, cwd=directory)
            for n in range(WORKERS)
        ]  # fmt: skip
        try:
            until(lambda: (directory / "log").read_bytes().count(b" ready.") == WORKERS, _PATIENCE)
            code = (
                "import compared\n"
                f"for n in range({RATE * WORKERS * (seconds + 10)}): compared.send.delay(n)"
            )
            # Filled while they work: what counts begins with the first mail.
            with subprocess.Popen([sys.executable, "-c", code], env=surroundings):
                watch(sink, seconds)
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(60)
    return [measured(Measure("messages", _message, RATE), sink.taken, seconds)]


def watch(sink: CountingSink, seconds: int) -> None:
    """Wait until that time is over at the server."""
    until(lambda: sink.taken, _PATIENCE)
    time.sleep(max(0.0, sink.taken[0].at + seconds - time.time()))


def show(name: str, rows: list[Row]) -> None:
    table = Table("", title=name, title_justify="left", box=None, pad_edge=False)
    for column in ("fullest second", "limit", "total", "allowed", "used"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            row.what, str(row.fullest), str(row.allowed_in_second), str(row.total),
            str(row.allowed), f"{row.total / row.allowed:.0%}",
        )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 80).print(table)
    for row in rows:
        print(f"  {row.what}, each second: {' '.join(map(str, row.seconds))}")
    print(flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--only", type=int, help="the number of one scenario, from 1")
    given = parser.parse_args()
    chosen = SCENARIOS if given.only is None else SCENARIOS[given.only - 1 : given.only]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="mq") as directory, redis_server() as redis:
        for number, scenario in enumerate(chosen):
            found = run(scenario, redis.tcp_url, Path(directory) / f"limits{number}", given.seconds)
            show(scenario.name, found)
            rows += found
        if given.only is None:
            show(
                f"Celery's rate_limit='{RATE}/s', for comparison",
                celery(redis.tcp_url.replace("/0", "/1"), Path(directory) / "celery",
                       given.seconds),
            )  # fmt: skip
    bad = [row for row in rows if not row.is_good]
    for row in bad:
        print(f"not good: {row.what}, {row.fullest} in a second, {row.total} of {row.allowed}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
