"""mailqueue in Flask with a broker: what is warmed up when, forks, and the commands."""

import os
import subprocess
import sys
import threading

import pytest
import redis
from flask import Flask
from support.brokers import free_port
from support.processes import environment, until

from mailqueue import enqueuing, send_mail
from mailqueue.contrib.flask import MailQueue

DATA = ("Welcome", "Good to have you here.", "us@example.com", ["ann@example.com"])


def app(**config) -> Flask:
    made = Flask("shop")
    made.config.update(config)

    @made.post("/")
    def send() -> str:
        return str(send_mail(*DATA))

    @made.get("/")
    def home() -> str:
        return "home"

    return made


@pytest.fixture
def warmed(monkeypatch):
    """Threads in which the broker was connected to ahead."""
    threads: list[str] = []
    warm_up = enqueuing.warm_up

    def seen():
        warm_up()
        threads.append(threading.current_thread().name)

    monkeypatch.setattr(enqueuing, "warm_up", seen)
    return threads


def test_the_first_request_of_a_process_warms_it_up_beside_itself(redis_settings, warmed):
    made = app(**redis_settings)
    MailQueue(made)
    assert warmed == []
    client = made.test_client()
    assert client.get("/").text == "home"
    until(lambda: warmed == ["mailqueue-warm-up"])
    assert client.post("/").text == "1"
    assert len(warmed) == 1


def test_a_server_s_hook_does_it_before(redis_settings, warmed):
    made = app(**redis_settings)
    MailQueue(made).warm_up()
    assert warmed == [threading.current_thread().name]
    made.test_client().get("/")
    assert len(warmed) == 1


def test_a_broker_that_is_away_is_a_sentence_in_the_log(caplog):
    port = free_port()
    made = app(MAILQUEUE_BROKER_URL=f"redis://:hunter2@127.0.0.1:{port}/0")
    MailQueue(made).warm_up()
    assert f"the broker does not answer yet: redis://***@127.0.0.1:{port}" in caplog.text
    assert "hunter2" not in caplog.text


def test_children_of_a_preloaded_application_send(redis_settings):
    """As gunicorn does with --preload: the application is made, used, and then forked."""
    made = app(**redis_settings)
    MailQueue(made).warm_up()
    client = made.test_client()
    assert client.post("/").text == "1"
    children = []
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            try:
                os._exit(0 if client.post("/").text == "1" else 1)
            except BaseException:  # noqa: BLE001 - the child must not return into pytest
                os._exit(2)
        children.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * 3
    store = redis.Redis.from_url(redis_settings["MAILQUEUE_BROKER_URL"])
    assert store.llen(redis_settings["MAILQUEUE_QUEUE"]) == 4


def test_commands_have_the_application_s_settings(redis_settings):
    made = app(**redis_settings, DEFAULT_FROM_EMAIL="shop@example.com")
    MailQueue(made)
    runner = made.test_cli_runner()
    sent = runner.invoke(
        args=["mailqueue", "send", "--to", "ann@example.com", "--subject", "x", "--body", "x"]
    )
    assert sent.exit_code == 0, sent.output
    stats = runner.invoke(args=["mailqueue", "stats"])
    assert stats.exit_code == 0, stats.output
    store = redis.Redis.from_url(redis_settings["MAILQUEUE_BROKER_URL"])
    assert store.llen(redis_settings["MAILQUEUE_QUEUE"]) == 1


def test_what_fails_is_a_sentence():
    made = app(MAILQUEUE_BROKER_URL=f"redis://:hunter2@127.0.0.1:{free_port()}/0")
    MailQueue(made)
    runner = made.test_cli_runner()
    for arguments in (["stats"], ["send", "--to", "ann@example.com"]):
        failed = runner.invoke(args=["mailqueue", *arguments])
        assert failed.exit_code == 1
        assert "mailqueue: " in failed.output
        assert "Traceback" not in failed.output
        assert "hunter2" not in failed.output


def test_a_worker_of_the_project_s_own_is_told_not_taken(redis_settings, tmp_path):
    """``flask`` puts the working directory on the path, before what is installed."""
    (tmp_path / "worker.py").write_text("print('not ours')\n")
    (tmp_path / "app.py").write_text(
        "from flask import Flask\n"
        "from mailqueue.contrib.flask import MailQueue\n"
        "app = Flask('shop')\n"
        "MailQueue(app)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "flask", "mailqueue", "worker"],
        cwd=tmp_path,
        env=environment(redis_settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "a module named 'worker' of your project" in done.stderr
    assert "Traceback" not in done.stderr
