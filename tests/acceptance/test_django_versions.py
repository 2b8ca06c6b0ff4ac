"""The tests of Django once more, with the newest Django, where there is a Python for it.

This environment may have an older Django: 5.2 is the last one for Python 3.11. Without a Python
3.12 or 3.13 on the path it is skipped, in CI too, since a machine may have one Python only; there
CI's other jobs run all tests with that Django.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import django
import pytest
from support.processes import environment

ROOT = Path(__file__).parents[2]
TESTS = [
    "tests/integration/test_django_settings.py",
    "tests/integration/test_django_transactions.py",
    "tests/integration/test_django_narrowing.py",
    "tests/acceptance/test_django_site.py::test_all_that_django_sends_goes_through_the_queue",
]


def _python() -> str | None:
    """A Python that works; a pyenv's shim may be of a version that is not switched on."""
    for version in ("3.13", "3.12"):
        names = [shutil.which(f"python{version}")]
        names += map(str, sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python")))
        for name in names:
            code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
            if name is None:
                continue
            done = subprocess.run(
                [name, "-c", code], capture_output=True, text=True, timeout=30, check=False
            )
            if done.stdout.strip() == version:
                return name
    return None


def _environment(python: str) -> Path:
    """Made once, beside the environment that the tests run in, whoever asks for it first."""
    place = Path(sys.prefix) / ".newest-django"
    place.mkdir(exist_ok=True)
    venv, done = place / "venv", place / "done"
    project = (ROOT / "pyproject.toml").read_bytes()
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists() or done.read_bytes() != project:
            pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet"]
            for command in (
                [python, "-m", "venv", "--clear", str(venv)],
                [*pip, "--upgrade", "pip>=25.1"],
                [*pip, "-e", ".[demo,metrics]", "django>=6.1", "--group", "test"],
            ):
                made = subprocess.run(
                    command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
                )
                assert made.returncode == 0, made.stderr
            done.write_bytes(project)
    return venv


@pytest.mark.skipif(
    django.VERSION >= (6, 1), reason="all of this environment's tests run with Django 6.1 or newer"
)
@pytest.mark.timeout(400)
def test_with_the_newest_django():
    found = _python()
    if found is None:
        pytest.skip("no Python 3.12 or 3.13 here, which Django 6.1 needs")
    venv = _environment(found)
    python = str(venv / "bin" / "python")
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS],
        cwd=ROOT,
        env=environment({"PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}"}),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    sys.stdout.write(done.stdout[-3000:])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout.splitlines()[-1], done.stdout
