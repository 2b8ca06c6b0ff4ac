"""The list of differences is true of both, and the docs have it."""

import json
import subprocess
import sys
from pathlib import Path

import django
import pytest
from integration.django_differences import DIFFERENCES, Difference
from support.differences_table import DOCUMENT, with_table

HERE = Path(__file__).parent


def answers(root: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, str(HERE / "django_probes.py"), root],
        input=json.dumps([difference.probe for difference in DIFFERENCES]),
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def ours() -> list[str]:
    return answers("mailqueue")


@pytest.fixture(scope="module")
def djangos() -> list[str]:
    if django.VERSION >= (6,):
        pytest.skip(f"Django {django.__version__} builds mail anew; the list is about 5.2")
    return answers("django.core.mail")


EACH = pytest.mark.parametrize(
    ("at", "difference"), list(enumerate(DIFFERENCES)), ids=[each.name for each in DIFFERENCES]
)


@EACH
def test_mailqueue_does_what_the_list_says(at: int, difference: Difference, ours) -> None:
    assert ours[at] == difference.ours


@EACH
def test_django_does_what_the_list_says(at: int, difference: Difference, djangos, ours) -> None:
    assert djangos[at] != ours[at], "no difference any more"
    if difference.django != "*":
        assert djangos[at] == difference.django


def test_the_docs_have_the_list() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert text == with_table(text), "run `make docs`"
