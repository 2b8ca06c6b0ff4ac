"""``mailqueue demo``: delivers all of it, and leaves nothing running, however it ends."""

import email
import os
import signal
import subprocess
import sys
from email.message import Message
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from support.processes import environment, until


def start(directory: Path, *options: str) -> subprocess.Popen[str]:
    """The demo in a session of its own, as in a terminal."""
    return subprocess.Popen(
        [sys.executable, "-m", "mailqueue", "demo", *options],
        cwd=directory,
        env=environment({}),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def left_behind(directory: Path) -> list[str]:
    """Processes that have to do with this directory: demo, worker, keeper, server."""
    found = []
    for process in psutil.process_iter():
        try:
            about = [*process.cmdline(), process.cwd(), *process.environ().values()]
            if process.pid != os.getpid() and any(str(directory) in text for text in about):
                found.append(f"{process.pid} {' '.join(process.cmdline())}")
        except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
            continue
    return found


def messages(directory: Path) -> list[Message]:
    return [
        email.message_from_bytes(path.read_bytes())
        for path in sorted(directory.glob("*/mail/*.eml"))
    ]


def test_it_delivers_205_of_205_and_leaves_nothing_running(tmp_path):
    process = start(tmp_path, "--dir", "here")
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, output + errors
    assert output.splitlines()[-1] == "delivered 205/205"
    assert "Traceback" not in output + errors
    found = messages(tmp_path / "here")
    assert len(found) == 205
    assert all(mail["Subject"] and mail["From"] and not mail.defects for mail in found)
    assert len({mail["Message-ID"] for mail in found}) == 205
    assert all("Bcc" not in mail for mail in found)
    until(lambda: not left_behind(tmp_path), 20, lambda: left_behind(tmp_path))


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle_it_takes_everything_down_with_it(tmp_path, stop):
    process = start(tmp_path)
    try:
        # The demo, the worker and its two processes, the keeper and the server: all is up.
        until(lambda: len(left_behind(tmp_path)) >= 6, 60, lambda: left_behind(tmp_path))
        assert process.poll() is None
        # Ctrl-C reaches the terminal's whole process group; SIGTERM the process alone.
        (os.killpg if stop == signal.SIGINT else os.kill)(process.pid, stop)
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode not in {0, -stop}, output
    assert "delivered 205/205" not in output
    assert "Traceback" not in output + errors
    until(lambda: not left_behind(tmp_path), 20, lambda: left_behind(tmp_path))
