"""The files of deploy/ started as plain processes, with their own commands and settings.

What is not as in production: there are no containers, no systemd and no cluster; names of other
services are 127.0.0.1, on private ports; a sink stands for Mailpit. Prometheus is not started: its
questions are asked here.
"""

import email
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import redis
from support import brokers, deploy
from support.processes import environment, until

BIN = str(Path(sys.executable).parent)


def ask(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return answer.read().decode()


@contextmanager
def started(command, settings, log, **options):
    """A process; the test ends it, and whatever is left is killed."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment(settings),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def run(command, settings, expect=0):
    done = subprocess.run(
        command,
        env=environment(settings),
        text=True,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


class Machine:
    """What the services' own surroundings would give them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.places: dict[str, str] = {}
        self.given = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            # A container's own /tmp, a unit's own by PrivateTmp.
            "TMPDIR": str(directory),
            "XDG_RUNTIME_DIR": "",
        }

    def settings(self, said: dict[str, str]) -> dict[str, str]:
        """The file's settings, with each place replaced by the one that stands for it."""
        return self.given | {name: self.there(value) for name, value in said.items()}

    def there(self, text: str) -> str:
        for name, place in self.places.items():
            text = text.replace(name, place)
        return text

    def log(self, name: str) -> Path:
        return self.directory / f"{name}.log"


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.fixture
def composed_redis(machine):
    """Redis as compose.yaml starts it."""
    service = deploy.compose()["redis"]
    program, *options = service["command"]
    assert program == "redis-server"
    port = brokers.free_port()
    command = [brokers.redis_binary(), *options, "--port", str(port), "--bind", "127.0.0.1"]
    data = machine.directory / "data"
    data.mkdir()
    with started([*command, "--dir", str(data)], {}, machine.log("redis")) as process:
        client = redis.Redis(port=port)
        until(lambda: _answers(client), 10, machine.log("redis").read_text)
        test = service["healthcheck"]["test"]
        assert test[:2] == ["CMD", "redis-cli"]
        if shutil.which("redis-cli"):
            assert "PONG" in run(["redis-cli", "-p", str(port), *test[2:]], {})
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        machine.places["redis:6379"] = f"127.0.0.1:{port}"
        yield port
        client.close()
        process.terminate()
        assert process.wait(30) == 0


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


LAUNCHES = {
    "compose": deploy.compose_worker,
    "compose with rabbitmq": lambda: deploy.compose_worker("rabbitmq"),
    "systemd": deploy.systemd_worker,
    "kubernetes": deploy.kubernetes_worker,
}


@pytest.mark.parametrize(
    "name",
    [
        "compose",
        pytest.param("compose with rabbitmq", marks=pytest.mark.rabbitmq),
        "systemd",
        "kubernetes",
    ],
)
def test_a_worker_delivers_is_well_and_stops_in_its_time(
    name, composed_redis, machine, queue_name, smtp, request
):
    launch = LAUNCHES[name]()
    own: dict[str, str] = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(smtp.port)}
    if name == "compose":
        # The mail catcher's place is said in the file.
        assert launch.settings["EMAIL_HOST"] == "mailpit"
        assert launch.settings["EMAIL_PORT"] == "1025"
    if name == "compose with rabbitmq":
        url = request.getfixturevalue("rabbitmq_url")
        machine.places["amqp://guest:guest@rabbitmq:5672//"] = url
        # One RabbitMQ serves many tests.
        own["MAILQUEUE_QUEUE"] = queue_name
        request.addfinalizer(lambda: brokers.delete_rabbitmq_queue(queue_name))
    if name == "systemd":
        machine.places["localhost:6379"] = f"127.0.0.1:{composed_redis}"
    if name == "kubernetes":
        # The secret is an example: where it lies, and the login, are of this test.
        own["MAILQUEUE_BROKER_URL"] = f"redis://127.0.0.1:{composed_redis}/0"
        own |= {"EMAIL_USE_TLS": "", "EMAIL_HOST_USER": "", "EMAIL_HOST_PASSWORD": ""}
    port = brokers.free_port()
    own["MAILQUEUE_METRICS_PORT"] = str(port)
    settings = machine.settings(launch.settings) | own
    log = machine.log("worker")
    command = [f"{BIN}/mailqueue", *launch.arguments]
    with started(command, settings, log) as process:
        until(lambda: " ready." in log.read_text() or process.poll() is not None, 30, log.read_text)
        # As the application would: it knows the broker, and no mail server.
        theirs = {
            key: value
            for key, value in settings.items()
            if key in {"PATH", "MAILQUEUE_BROKER_URL", "MAILQUEUE_QUEUE"}
        }
        send = "mailqueue send --from us@example.com --to a@example.com --subject Hi --body Text"
        run(send.split(), theirs)
        until(lambda: smtp.received, 20, log.read_text)
        health = deploy.compose()["worker"]["healthcheck"]["test"][1:]
        assert "is well" in run(health, settings)
        until(lambda: "is ready" in ask_kindly(port, "/ready"), 20, log.read_text)
        assert "is well" in ask(port, "/live")
        until(lambda: 'mailqueue_accepted_total{route="default"} 1' in ask(port, "/metrics"), 10)
        process.terminate()
        assert process.wait(launch.grace) == 0
    assert [email.message_from_bytes(m.content)["Subject"] for m in smtp.received] == ["Hi"]
    # Nobody is left: the probe says so.
    assert "no worker" in run(health, settings, expect=1)


def ask_kindly(port: int, path: str) -> str:
    """The answer; empty where it is not the one that was hoped for."""
    try:
        return ask(port, path)
    except OSError:
        return ""


def _says_ready(log: Path) -> bool:
    return " ready." in log.read_text()


def test_three_workers_share_the_work(composed_redis, machine, smtp):
    """`--scale worker=3`: each container has its own /tmp and its own port."""
    launch = deploy.compose_worker()
    ran = []
    for number in range(3):
        inside = machine.directory / str(number)
        inside.mkdir()
        ran.append(
            machine.settings(launch.settings)
            | {
                "EMAIL_HOST": "127.0.0.1",
                "EMAIL_PORT": str(smtp.port),
                "MAILQUEUE_METRICS_PORT": str(brokers.free_port()),
                "TMPDIR": str(inside),
            }
        )
    command = [f"{BIN}/mailqueue", *launch.arguments]
    code = (
        "from mailqueue import send_mass_mail\n"
        "mails = [('Hi', 'Text', 'us@example.com', [f'a{n}@example.com']) for n in range(300)]\n"
        "assert send_mass_mail(mails) == 300"
    )
    with (
        started(command, ran[0], machine.log("0")) as first,
        started(command, ran[1], machine.log("1")) as second,
        started(command, ran[2], machine.log("2")) as third,
    ):
        for number in range(3):
            log = machine.log(str(number))
            until(partial(_says_ready, log), 40, log.read_text)
        run([sys.executable, "-c", code], ran[0])
        until(lambda: len(smtp.received) >= 300, 40)
        processes = [first, second, third]
        for process in processes:
            process.terminate()
        assert [process.wait(launch.grace) for process in processes] == [0, 0, 0]
    told = sorted(mail.recipients[0] for mail in smtp.received)
    assert told == sorted(f"a{n}@example.com" for n in range(300))


def test_flower_asks_for_a_login_and_is_well(composed_redis, machine):
    port = brokers.free_port()
    machine.places["5555"] = str(port)
    unset = deploy.compose()["flower"]
    command = [f"{BIN}/mailqueue", *(machine.there(word) for word in unset["command"])]
    said = run(command, machine.settings(unset["environment"]), expect=1)
    assert "FLOWER_BASIC_AUTH" in said
    assert "Traceback" not in said

    service = deploy.compose(environment={"FLOWER_BASIC_AUTH": "ann:of-this-test"})["flower"]
    settings = machine.settings(service["environment"])
    log = machine.log("flower")
    with started(command, settings, log) as process:
        probe = [machine.there(word) for word in service["healthcheck"]["test"][1:]]

        def is_well() -> bool:
            done = subprocess.run(
                probe, env=environment(settings), capture_output=True, timeout=30, check=False
            )
            return done.returncode == 0

        until(is_well, 30, log.read_text)
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(port, "/workers")
        assert refused.value.code == 401
        process.terminate()
        process.wait(15)
