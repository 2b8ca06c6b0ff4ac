"""docs/promises.md: what it calls as a witness is there."""

import ast
import re
from pathlib import Path

import pytest

from worker.patience import PATIENCE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text("utf-8")
WITNESSES = sorted(set(re.findall(r"`((?:tests|benchmarks)/[\w/]+\.py)(?:::(\w+))?`", PAGE)))


@pytest.mark.parametrize(("path", "function"), WITNESSES)
def test_each_test_and_benchmark_that_it_names_exists(path: str, function: str) -> None:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    if function:
        assert function in {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}


def test_each_promise_names_a_witness() -> None:
    promises = PAGE.split("\n## ")[2:6]
    assert [p.partition("\n")[0] for p in promises] == [
        "Once `send()` has returned, no mail is lost",
        "Hardly ever twice",
        "No ledger, no sending",
        "An honest outcome for each mail and each recipient",
    ]
    for promise in promises:
        assert re.search(r"^Shown by: `(tests|benchmarks)/", promise, re.MULTILINE)


def test_the_patience_of_a_worker_is_that_of_the_code() -> None:
    assert f"{PATIENCE / 60:.0f} minutes" in PAGE
