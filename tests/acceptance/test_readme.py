"""Every command in the README, run as it stands there (or: where else it is run)."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support import deploy
from support.processes import environment, python, until, worker
from support.settings_table import README
from support.smtp import SmtpServer

TEXT = README.read_text("utf-8")

#: Commands that set things up or run everything: who runs them instead.
ELSEWHERE = {
    "pip install 'mailqueue[embedded]'": "tests/acceptance/test_install.py, from the checkout",
    "docker compose -f deploy/compose.yaml up --detach": (
        "tests/acceptance/test_deploy_processes.py, its services as plain processes"
    ),
    "make demo": ".ci/run, and tests/acceptance/test_cli_demo.py",
    "make test": "this very run",
    "make check": ".ci/run",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def lines(block: str) -> list[str]:
    return [line for line in block.splitlines() if line and line not in ELSEWHERE]


@pytest.fixture
def shell(tmp_path):
    """Runs a block as a person would, in an empty directory, with a home of its own."""
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.4 report")
    (tmp_path / "letter.eml").write_text("From: a@example.com\nTo: b@example.com\n\nHi\n")
    (tmp_path / "people.csv").write_text("email,name\nc@example.com,Carla\nd@example.com,Dan\n")
    (tmp_path / "letter.txt").write_text("Hello {{ name }}!\n")
    bin_directory = str(Path(sys.executable).parent)

    def run(script: str, settings: dict[str, str]) -> subprocess.Popen[str]:
        home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
        path = {"PATH": f"{bin_directory}{os.pathsep}{os.environ['PATH']}"}
        return subprocess.Popen(
            ["bash", "-ec", script],
            cwd=tmp_path,
            env=environment(settings) | home | path,
            stdout=(tmp_path / "out").open("ab"),
            stderr=subprocess.STDOUT,
            text=True,
        )

    return run


@pytest.fixture
def output(tmp_path):
    return (tmp_path / "out").read_text


def test_the_first_block_shows_a_mail_arriving(shell, output):
    block = blocks("sh")[0]
    assert TEXT.splitlines().index("mailqueue worker") < 20
    process = shell(
        "\n".join(lines(block)).replace("mailqueue worker", "exec mailqueue worker"), {}
    )
    try:
        until(lambda: "Good morning" in output(), 40, output)
        assert "To: ann@example.com" in output()
    finally:
        process.terminate()
        process.wait(45)


def test_the_docker_block_shows_a_mail_in_the_mailbox(shell, output, redis_server, smtp, tmp_path):
    """Its worker by its command and settings, without Docker; a sink stands for the mailbox."""
    block = next(b for b in blocks("sh") if "docker compose" in b)
    assert ELSEWHERE[block.splitlines()[0]]
    launch = deploy.compose_worker()
    ports = [port for service in deploy.compose().values() for port in service.get("ports", [])]
    assert "127.0.0.1:8025:8025" in ports
    assert "127.0.0.1:6379:6379" in ports
    settings = launch.settings | {
        "MAILQUEUE_BROKER_URL": redis_server.tcp_url,
        "MAILQUEUE_METRICS_PORT": "",
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": str(smtp.port),
    }
    command = (sys.executable, "-m", "mailqueue", *launch.arguments)
    with worker(settings, tmp_path / "worker.log", command=command) as running:
        script = "\n".join(lines(block)).replace("redis://localhost:6379/0", redis_server.tcp_url)
        assert shell(script, {}).wait(30) == 0, output()
        until(lambda: smtp.received, 30, lambda: running.log)
    assert b"Good to have you here." in smtp.received[0].content


def test_the_worker_block_checks_and_delivers(shell, output, redis_server, queue_name):
    block = next(b for b in blocks("sh") if "mailqueue check" in b)
    with SmtpServer() as smtp:
        script = "\n".join(lines(block)).replace("mailqueue worker", "exec mailqueue worker")
        # The addresses are the reader's own; here those of the test's servers.
        script = script.replace("redis://localhost:6379/0", redis_server.tcp_url)
        script = script.replace("EMAIL_PORT=25", f"EMAIL_PORT={smtp.port}")
        process = shell(script, {"MAILQUEUE_QUEUE": queue_name})
        try:
            until(lambda: " ready." in output() or process.poll() is not None, 40, output)
            python(
                "from mailqueue import send_mail\n"
                "send_mail('Hello', 'x', 'a@example.com', ['b@example.com'])",
                {"MAILQUEUE_BROKER_URL": redis_server.tcp_url, "MAILQUEUE_QUEUE": queue_name},
            )
            until(lambda: smtp.received, 30, output)
        finally:
            process.terminate()
            process.wait(45)
    assert re.search(r"ok\s+broker", output())
    assert re.search(r"ok\s+SMTP", output())


def test_the_command_line_block_enqueues(shell, output, redis_settings):
    block = next(b for b in blocks("sh") if "--csv" in b)
    process = shell("\n".join(lines(block)), redis_settings)
    assert process.wait(60) == 0, output()
    assert len(re.findall(r"^[0-9a-f]{32}$", output(), re.MULTILINE)) == 3
    assert "2 mails enqueued" in output()


@pytest.mark.rabbitmq
def test_the_rabbitmq_block_is_a_working_configuration(rabbitmq_url, redis_server, queue_name):
    block = next(b for b in blocks("sh") if "amqp://" in b)
    settings = {"MAILQUEUE_QUEUE": queue_name}
    for line in block.splitlines():
        name, _, value = shlex.split(line)[1].partition("=")
        settings[name] = value
    assert rabbitmq_url.partition("@")[0] == settings["MAILQUEUE_BROKER_URL"].partition("@")[0]
    settings |= {"MAILQUEUE_BROKER_URL": rabbitmq_url, "MAILQUEUE_REDIS_URL": redis_server.tcp_url}
    python(
        "from mailqueue import send_mail\n"
        "assert send_mail('Hello', 'x', 'a@example.com', ['b@example.com']) == 1",
        settings,
    )
    from support.brokers import delete_rabbitmq_queue

    delete_rabbitmq_queue(queue_name)


def test_every_block_is_known_to_a_test_above():
    known = ("mailqueue worker", "docker compose", "--csv", "amqp://", "make demo")
    assert all(any(word in block for word in known) for block in blocks("sh"))


def test_the_python_examples_run(redis_settings):
    script = "\n".join(blocks("python")).replace(
        "redis://localhost:6379/0", redis_settings["MAILQUEUE_BROKER_URL"]
    )
    python(script, redis_settings)
