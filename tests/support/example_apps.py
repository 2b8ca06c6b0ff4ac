"""The example applications, started by the very lines of their READMEs."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Final

import httpx

from support.brokers import free_port
from support.processes import environment, until
from support.smtp import SmtpServer

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
LINE_BREAK: Final = "Hello\nBcc: all@example.com"


def blocks(name: str) -> list[list[str]]:
    """The commands of a README, block by block."""
    text = (EXAMPLES / name / "README.md").read_text("utf-8")
    found = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [block.splitlines() for block in found]


def app_command(name: str) -> str:
    """What the README says to type in the first terminal, behind the installation."""
    return blocks(name)[1][-1]


def worker_block(name: str) -> list[str]:
    """What it says to type in the second one."""
    return blocks(name)[2]


def worker_command(name: str) -> tuple[str, ...]:
    """The worker's line alone, for whoever brings the settings; to be run from anywhere."""
    path = f"PATH={with_tools()['PATH']}"
    return ("env", "-C", str(EXAMPLES / name), path, *shlex.split(worker_block(name)[-1]))


def with_tools() -> dict[str, str]:
    """The PATH of somebody who has installed what the README says."""
    return {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@contextmanager
def running(name: str, lines: list[str], settings: dict[str, str], log: Path) -> Iterator[None]:
    """A block of a README in a shell, in the example's directory; its last line stays."""
    script = "\n".join([*lines[:-1], f"exec {lines[-1]}"])
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-ec", script],
            cwd=EXAMPLES / name,
            env=environment(settings) | with_tools(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
        assert process.poll() is None, log.read_text("utf-8", "replace")
    finally:
        process.terminate()
        try:
            process.wait(45)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def served(name: str, settings: dict[str, str], log: Path) -> Iterator[httpx.Client]:
    """The application on a free port, and a client of it."""
    port = free_port()
    ports = {"FLASK_RUN_PORT": str(port), "UVICORN_PORT": str(port)}
    url = f"http://127.0.0.1:{port}"
    *before, command = blocks(name)[1]
    # Nobody is there to be asked.
    before = [f"{line} --noinput" if "createsuperuser" in line else line for line in before]
    if "manage.py" in command:
        # Source that is edited meanwhile must not restart it in the middle of a request.
        command = f"{command} {port} --noreload"
    with running(name, [*before, command], settings | ports | {"SITE": url}, log):
        until(lambda: listens(port), 30, lambda: log.read_text("utf-8", "replace"))
        with httpx.Client(base_url=url, timeout=30) as client:
            yield client


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def parsed(content: bytes) -> EmailMessage:
    return message_from_bytes(content, policy=policy.default)


def arrived(smtp: SmtpServer, subject: str, count: int = 1) -> list[EmailMessage]:
    """Wait for mails with this subject."""

    def found() -> list[EmailMessage]:
        mails = [parsed(one.content) for one in list(smtp.received)]
        return [mail for mail in mails if mail["Subject"] == subject]

    until(lambda: len(found()) >= count, 30, lambda: f"{len(found())} of {count}: {subject}")
    return found()
