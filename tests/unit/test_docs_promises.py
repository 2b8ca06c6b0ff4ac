"""docs/promises.md: what it calls as a witness is there."""

import ast
import re
from pathlib import Path

import pytest

from mailqueue import conf, ledger
from mailqueue.broker import PRIORITIES, queue_name
from mailqueue.envelope import Priority
from worker.config import configuration
from worker.patience import PATIENCE
from worker.priorities import Turns

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text("utf-8")
WITNESSES = sorted(set(re.findall(r"`((?:tests|benchmarks)/[\w/]+\.py)(?:::(\w+))?`", PAGE)))


@pytest.mark.parametrize(("path", "function"), WITNESSES)
def test_each_test_and_benchmark_that_it_names_exists(path: str, function: str) -> None:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    if function:
        assert function in {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}


def test_each_promise_names_a_witness() -> None:
    promises = PAGE.split("\n## ")[2:10]
    assert [p.partition("\n")[0] for p in promises] == [
        "Once `send()` has returned, no mail is lost",
        "Hardly ever twice",
        "No ledger, no sending",
        "An honest outcome for each mail and each recipient",
        "Limits hold for all workers together",
        "A route in trouble costs no mail anything",
        "What is urgent overtakes, and nothing starves",
        "On a staging system nothing leaves for anybody else",
    ]
    for promise in promises:
        assert re.search(r"^Shown by: `(tests|benchmarks)/", promise, re.MULTILINE)


def test_the_patience_of_a_worker_is_that_of_the_code() -> None:
    assert f"{PATIENCE / 60:.0f} minutes" in PAGE


def test_the_lease_of_a_connection_is_that_of_the_code() -> None:
    assert f"for longer than its lease ({ledger.lease_seconds():.0f} s), its connection" in PAGE


def test_the_read_time_out_is_that_of_the_code() -> None:
    conf.configure(MAILQUEUE_BROKER_URL="amqp://h//", MAILQUEUE_REDIS_URL="redis://h/0")
    assert configuration()["broker_transport_options"]["read_timeout"] == 10
    assert "read time-out of ten seconds" in PAGE


@pytest.mark.parametrize(
    ("priority", "words"),
    [("bulk", "of ten batches that a worker begins one"), ("normal", "and of six one is normal")],
)
def test_the_shares_are_those_of_the_code(priority: Priority, words: str) -> None:
    assert words in re.sub(r"\s+", " ", PAGE)
    window = {"bulk": 10, "normal": 6}[priority]
    names = {p: queue_name(conf.get_settings().MAILQUEUE_QUEUE, p) for p in PRIORITIES}
    turns = Turns()
    turns.update([names["high"], names[priority]])
    taken = []
    for _ in range(5 * window):
        first = turns.consume(2)[0]
        turns.rotate(first)
        taken.append(first)
    runs = [taken[at : at + window].count(names[priority]) for at in range(len(taken) - window + 1)]
    assert min(runs) >= 1
