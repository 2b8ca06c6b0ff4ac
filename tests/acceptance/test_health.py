"""Probes of real workers: what is well, what only waits, what hangs."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from support.gated_sink import GatedSink
from support.outages import KillableRedis, fixed_port
from support.processes import environment, until, worker
from support.scraping import Scrape, get

from mailqueue import EmailMessage, conf, enqueue, health
from mailqueue.broker import configuration, make_app


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    """A runtime directory of the test's own: other workers of this machine are none of its."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def ask(*arguments: str) -> tuple[int, str]:
    """The exit code of ``mailqueue health``, and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "mailqueue", "health", *arguments],
        env=environment({}), capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def says(expected: int, *arguments: str) -> None:
    until(lambda: ask(*arguments)[0] == expected, 40, lambda: ask(*arguments))


def test_a_worker_is_live_and_ready_until_it_ends(redis_settings, runtime, tmp_path):
    assert ask("live") == (1, f"no worker runs here ({runtime}/mailqueue-{os.geteuid()})\n")
    with worker(redis_settings, tmp_path / "worker.log", "-n", "one@%h") as running:
        says(0, "ready")
        code, text = ask("live")
        assert code == 0
        assert text.startswith("one@")
        assert ask("ready", "--name", "one")[0] == 0
        assert ask("live", "--pid", str(running.process.pid))[0] == 0
        assert ask("live", "--pid", "1") == (
            1, f"no worker with process id 1 runs here ({health.directory()})\n",
        )  # fmt: skip
        assert ask("live", "--name", "two")[0] == 1
        assert ask("alive")[0] == 2
        with worker(redis_settings, tmp_path / "other.log", "-n", "two@%h") as other:
            says(0, "ready", "--name", "two")
            assert len(ask("ready")[1].splitlines()) == 2
            other.process.send_signal(signal.SIGSTOP)
            try:
                # One that stands still spoils it for all, and only then.
                says(1, "live", "--within", "3")
                assert ask("live", "--within", "3", "--name", "one")[0] == 0
            finally:
                other.process.send_signal(signal.SIGCONT)
            says(0, "live", "--within", "3")
        os.kill(running.process.pid, 0)
    assert list(health.directory().iterdir()) == []


def test_a_killed_worker_is_none_whatever_file_it_left(redis_settings, runtime, tmp_path):
    with worker(redis_settings, tmp_path / "worker.log") as running:
        says(0, "live")
        os.killpg(running.process.pid, signal.SIGKILL)
        # Not waited for yet: a zombie is no worker either.
        says(1, "live")
        assert "no worker runs here" in ask("live")[1]
        running.process.wait(10)
    (left,) = health.directory().iterdir()
    assert "no worker runs here" in ask("live")[1]
    with worker(redis_settings, tmp_path / "next.log"):
        says(0, "live")
        assert not left.exists(), "the next one tidies up"


def test_a_worker_whose_redis_is_away_is_live_not_ready_and_says_so(queue_name, runtime, tmp_path):
    port = fixed_port()
    with KillableRedis() as store:
        settings = {
            "MAILQUEUE_QUEUE": queue_name,
            "MAILQUEUE_BROKER_URL": store.url,
            "MAILQUEUE_METRICS_PORT": str(port),
        }
        with worker(settings, tmp_path / "worker.log"):
            until(lambda: get(port, "/ready")[0] == 200, 20, lambda: get(port, "/ready"))
            assert Scrape(port).by("mailqueue_up", "what") == {"state": 1, "broker": 1}
            store.kill()
            until(lambda: get(port, "/ready")[0] == 503, 30, lambda: get(port, "/ready"))
            says(1, "ready")
            assert get(port, "/live")[0] == 200
            # Also when its loop has stood still for long: it says that it connects.
            until(lambda: "connecting" in ask("live", "--within", "3")[1], 20, lambda: ask("live"))
            assert ask("live", "--within", "3")[0] == 0
            until(lambda: Scrape(port).by("mailqueue_up", "what") == {}, 20)
            away = Scrape(port)
            assert away.values("mailqueue_up") == [0, 0]
            assert away.values("mailqueue_in_flight_mails") == []
            store.start()
            until(lambda: get(port, "/ready")[0] == 200, 30, lambda: get(port, "/ready"))
            says(0, "ready")
            until(lambda: Scrape(port).by("mailqueue_up", "what") == {"state": 1, "broker": 1}, 20)
            assert get(port, "/")[0] == 404


def test_a_main_loop_that_hangs_is_not_live(redis_settings, runtime, tmp_path):
    (tmp_path / "hanging.py").write_text(
        textwrap.dedent(
            """
            import time
            from celery.worker.control import control_command
            from worker import app

            @control_command()
            def hang(state, seconds):
                time.sleep(seconds)
            """
        ),
        "utf-8",
    )
    conf.configure(**redis_settings)
    command = sys.executable, "-m", "celery", "--workdir", str(tmp_path), "-A", "hanging", "worker"
    options = "--without-mingle", "--without-gossip", "-n", "hanging@%h"
    with worker(redis_settings, tmp_path / "worker.log", *options, command=command) as running:
        says(0, "ready", "--within", "3")
        app = make_app(configuration(conf.get_settings()))
        app.control.broadcast("hang", arguments={"seconds": 9})
        says(1, "live", "--within", "3")
        assert "its main loop has stood still" in ask("live", "--within", "3")[1], running.log
        says(0, "live", "--within", "3")


def test_a_solo_worker_with_a_long_batch_is_live(redis_settings, runtime, tmp_path):
    with GatedSink() as sink:
        settings = redis_settings | {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(sink.port)}
        conf.configure(**settings)
        sink.close_the_gate()
        with worker(settings, tmp_path / "worker.log", "--pool", "solo") as running:
            enqueue([EmailMessage("x", "x", "a@example.com", ["b@example.com"])])
            until(lambda: sink.held, 20, lambda: running.log)
            (status,) = health.statuses()
            until(lambda: time.monotonic() - status.loop_at > 5, 20)
            code, text = ask("live", "--within", "3")
            assert (code, text.endswith("is busy\n")) == (0, True), text
            sink.open_the_gate()
            until(lambda: "is well" in ask("live", "--within", "3")[1], 20, lambda: ask("live"))


def test_a_worker_that_cannot_be_watched_as_it_should_does_not_start(redis_settings, tmp_path):
    port = fixed_port()
    settings = redis_settings | {"MAILQUEUE_METRICS_PORT": str(port)}
    with worker(settings, tmp_path / "worker.log"):
        second = subprocess.run(
            [sys.executable, "-m", "mailqueue", "worker"],
            env=environment(settings), capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    assert second.returncode == 1
    assert f"nothing can be served at 127.0.0.1, port {port}" in second.stderr
    assert "Traceback" not in second.stderr
    code = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "from mailqueue.cli import main; main(['worker'])"
    )
    without = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(settings), capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert without.returncode == 1
    assert "pip install 'mailqueue[metrics]'" in without.stderr
    assert "Traceback" not in without.stderr
