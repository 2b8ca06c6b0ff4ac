"""The package as its users get it: a wheel, installed into an empty environment."""

import email
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.processes import environment, until, worker

ROOT = Path(__file__).parents[2]


class Installed:
    """An environment that has mailqueue, and nothing of the tests' own."""

    def __init__(self, venv: Path) -> None:
        self.bin = venv / "bin"

    def run(self, *command: str, cwd: Path, settings: dict[str, str] | None = None, expect=0):
        done = subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            cwd=cwd,
            env=environment(settings or {}),
            text=True,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == expect, done.stdout + done.stderr
        return done


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    place = tmp_path_factory.mktemp("install")
    subprocess.run([sys.executable, "-m", "venv", place / "venv"], check=True)
    found = Installed(place / "venv")
    found.run("python", "-m", "pip", "install", "--quiet", str(ROOT), cwd=place)
    return found


@pytest.fixture
def settings(redis_settings, smtp):
    return redis_settings | {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(smtp.port)}


def test_it_is_a_copy_that_needs_no_checkout(installed, tmp_path):
    code = "import mailqueue, worker; print(mailqueue.__file__, worker.__file__)"
    for path in installed.run("python", "-c", code, cwd=tmp_path).stdout.split():
        assert Path(path).is_relative_to(installed.bin.parent)
    files = installed.run("python", "-m", "pip", "show", "-f", "mailqueue", cwd=tmp_path).stdout
    assert "mailqueue/py.typed" in files
    assert "worker/py.typed" in files
    assert "tests" not in files
    assert "benchmarks" not in files


def test_importing_it_imports_neither_celery_nor_django_nor_the_worker(installed, tmp_path):
    code = "import sys, mailqueue; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    modules = set(installed.run("python", "-c", code, cwd=tmp_path).stdout.split())
    assert "mailqueue" in modules
    assert modules.isdisjoint({"celery", "kombu", "django", "worker", "redis", "rich", "click"})


def test_the_command_says_its_version(installed, tmp_path):
    assert "version 0." in installed.run("mailqueue", "--version", cwd=tmp_path).stdout
    assert (
        "version 0." in installed.run("python", "-m", "mailqueue", "--version", cwd=tmp_path).stdout
    )


SEND = (
    "from mailqueue import send_mail; send_mail('Hi', 'Text', 'a@example.com', ['b@example.com'])"
)


@pytest.mark.parametrize(
    "command",
    [
        ("mailqueue", "worker"),
        ("python", "-m", "mailqueue", "worker"),
        ("celery", "-A", "worker", "worker"),
    ],
    ids=" ".join,
)
def test_a_worker_starts_delivers_and_stops(
    installed, settings, smtp, tmp_path, monkeypatch, command
):
    monkeypatch.chdir(tmp_path)
    installed.run("python", "-c", SEND, cwd=tmp_path, settings=settings)
    start = (str(installed.bin / command[0]), *command[1:])
    with worker(settings, tmp_path / "worker.log", command=start) as running:
        until(lambda: smtp.received, 30, lambda: running.log)
    assert running.process.returncode == 0
    assert [email.message_from_bytes(mail.content)["Subject"] for mail in smtp.received] == ["Hi"]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_obeys_ctrl_c_and_sigterm(installed, settings, tmp_path, stop):
    start = (str(installed.bin / "mailqueue"), "worker")
    with worker(settings, tmp_path / "worker.log", command=start) as running:
        os.killpg(running.process.pid, stop)  # as a terminal does
        running.process.wait(45)
    assert running.process.returncode == 0
    assert "Traceback" not in running.log


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (("send", "--csv", "people.csv", "--template", "letter.txt"), "mailqueue[csv]"),
        (("demo",), "mailqueue[demo]"),
        (("send", "--to", "a@example.com"), "mailqueue[embedded]"),
    ],
)
def test_what_needs_an_extra_names_it_in_one_sentence(installed, tmp_path, command, extra):
    (tmp_path / "people.csv").write_text("email\na@example.com\n")
    (tmp_path / "letter.txt").write_text("Hi\n")
    done = installed.run("mailqueue", *command, cwd=tmp_path, expect=1)
    assert f"pip install '{extra}'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_check_runs_with_the_bare_package(installed, settings, tmp_path):
    assert "FAIL" not in installed.run("mailqueue", "check", cwd=tmp_path, settings=settings).stdout


# A Celery application of one's own is often called ``worker.py``: it must not be taken for ours.
SHADOWS = {
    "worker.py": "raise SystemExit('the worker.py of the working directory was imported')\n",
    "worker/__init__.py": "raise SystemExit('the worker/ of the working directory was imported')\n",
}


@pytest.mark.parametrize("shadow", SHADOWS)
@pytest.mark.parametrize(
    "command", [("mailqueue", "worker"), ("python", "-m", "mailqueue", "worker")], ids=" ".join
)
def test_a_worker_of_ones_own_does_not_shadow_ours(
    installed, settings, smtp, tmp_path, monkeypatch, shadow, command
):
    (tmp_path / shadow).parent.mkdir(exist_ok=True)
    (tmp_path / shadow).write_text(SHADOWS[shadow])
    monkeypatch.chdir(tmp_path)
    assert (
        "was imported"
        in installed.run("python", "-c", "import worker", cwd=tmp_path, expect=1).stderr
    )
    installed.run("python", "-c", SEND, cwd=tmp_path, settings=settings)
    start = (str(installed.bin / command[0]), *command[1:])
    with worker(settings, tmp_path / "worker.log", command=start) as running:
        until(lambda: smtp.received, 30, lambda: running.log)
    assert "was imported" not in running.log
