"""docs/mail-api.md: its examples run, and what it names is there."""

import ast
import re
from pathlib import Path

import pytest
from support.processes import python

import mailqueue

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "mail-api.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text("utf-8")


def test_the_examples_run_in_their_order(page):
    blocks = list(BLOCK.finditer(page))
    assert len(blocks) == page.count("```python")
    assert blocks
    # Empty lines in front: a traceback then has the page's line numbers.
    program = ""
    for block in blocks:
        program += "\n" * (page.count("\n", 0, block.start(1)) - program.count("\n")) + block[1]
    python(program, {"EMAIL_BACKEND": "mailqueue.backends.locmem.EmailBackend"})


def test_the_tests_that_it_names_exist(page):
    named = set(re.findall(r"(tests/[\w/]+\.py)::(\w+)", page))
    assert len(named) >= 11
    for path, function in sorted(named):
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert function in found, f"{path}::{function}"


@pytest.mark.parametrize("name", mailqueue.__all__)
def test_it_has_every_public_name(page, name):
    assert re.search(rf"\b{name}\b", page)
