"""The same input gives the same bytes as in Django 5.2."""

from pathlib import Path

import pytest
from support.processes import python


def test_the_same_bytes_as_django():
    pytest.importorskip("django")
    script = Path(__file__).with_name("django_parity.py")
    done = python(script.read_text("utf-8"), {})
    if "skipped" in done.stdout:
        pytest.skip(done.stdout.strip())
