"""A password that changes under a full queue: mail waits, the server is left in peace, and when
the password is right again all of it is sent.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest
from support.processes import Worker, environment, until, worker
from support.scripted_replies import ScriptedServer

from mailqueue import conf, failed, ledger, routes, schedule, send_mass_mail
from mailqueue.state import get_state, key

COUNT = 1000
#: Two workers, each with two processes: so many may ask before they know of the pause.
PROCESSES = 4
OLD, NEW = "old password", "new password"


class Locked(NamedTuple):
    """1,000 mails that are parked, since the server refuses the login."""

    server: ScriptedServer
    workers: list[Worker]
    settings: dict[str, str]

    @property
    def logs(self) -> list[str]:
        return [running.log[-2000:] for running in self.workers]


@pytest.fixture
def locked(redis_settings, tmp_path) -> Iterator[Locked]:
    with ScriptedServer(password=OLD) as server, ExitStack() as stack:
        settings = redis_settings | server.settings
        settings |= {"EMAIL_HOST_USER": "app", "EMAIL_HOST_PASSWORD": OLD}
        settings |= {"MAILQUEUE_BATCH_SIZE": "10"}
        conf.configure(**settings)
        workers = [
            stack.enter_context(worker(settings, tmp_path / f"worker{n}.log")) for n in range(2)
        ]
        locked = Locked(server, workers, settings)
        # While it was right, mail went out.
        send_mass_mail([("Before", "Body", "before@example.com", ["ann@example.com"])])
        until(lambda: server.received, 30, lambda: locked.logs)
        server.attempts_to_log_in = 0
        server.password = NEW
        send_mass_mail(
            ("Subject", "Body", f"mail{n}@example.com", [f"to{n}@example.com"])
            for n in range(COUNT)
        )
        until(lambda: routes.parked("default") == COUNT, 60, lambda: locked.logs)
        until(lambda: ledger.in_flight() == 0, 20)
        yield locked
    # Whoever reads logs must not learn it.
    assert not any(OLD in running.log for running in workers)


def assert_waiting(locked: Locked) -> None:
    """Nothing is lost, nothing is blamed on the mail, and the server was hardly asked."""
    assert failed.count() == 0
    assert schedule.count() == 0
    paused = routes.paused("default")
    assert paused is not None
    assert paused.kind == "login"
    assert paused.reason == "535 5.7.8 wrong password"
    assert 1 <= locked.server.attempts_to_log_in <= PROCESSES
    assert len(locked.server.received) == 1


def assert_all_arrive_once(locked: Locked) -> None:
    """Also the one of before; and the route stays open."""

    def all_sent() -> bool:
        return ledger.totals()["default"].get("sent") == COUNT + 1

    until(all_sent, 60, lambda: (ledger.totals(), routes.paused("default"), locked.logs))
    expected = {(f"mail{n}", f"to{n}@example.com"): 1 for n in range(COUNT)}
    assert locked.server.deliveries() == expected | {("before", "ann@example.com"): 1}
    assert routes.paused("default") is None
    assert routes.parked("default") == schedule.count() == failed.count() == 0
    for id_ in _sent_ids():
        record = ledger.look_up(id_)
        assert record
        assert record.attempts == 0


def _sent_ids() -> list[str]:
    names = get_state().scan_iter(f"{key('mail')}:*", count=1000)
    return [name.decode().rpartition(":")[2] for name in names]


def command(settings: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """What an operator types."""
    return subprocess.run(
        [sys.executable, "-m", "mailqueue", *arguments],
        env=environment(settings), text=True, capture_output=True, timeout=60, check=False,
    )  # fmt: skip


def test_it_is_said_in_words_and_a_person_opens_the_route(locked):
    assert_waiting(locked)
    stats = command(locked.settings, "stats")
    assert stats.returncode == 0, stats.stderr
    words = " ".join(stats.stdout.split())
    assert "(login: 535 5.7.8 wrong password), 1,000 mails wait; tried again in" in words
    assert "once corrected: mailqueue routes resume default" in words
    # JSON for programs says the same.
    document = json.loads(command(locked.settings, "stats", "--json").stdout)
    assert document["parked"] == COUNT
    assert document["failed"]["total"] == 0
    (route,) = document["routes"]
    assert (route["route"], route["paused"]["kind"]) == ("default", "login")
    asked = locked.server.attempts_to_log_in
    check = command(locked.settings, "check")
    assert check.returncode == 1
    told = " ".join(check.stdout.split())
    assert "default: paused" in told
    assert "(login: 535 5.7.8 wrong password), 1,000 mails wait" in told
    assert "mailqueue routes resume default" in told
    assert "SMTPAuthenticationError" in told  # it tries the login itself
    assert locked.server.attempts_to_log_in == asked + 1
    for said in (stats.stdout, check.stdout, check.stderr):
        assert OLD not in said

    locked.server.password = OLD
    resumed = command(locked.settings, "routes", "resume", "default")
    assert resumed.returncode == 0, resumed.stderr
    assert_all_arrive_once(locked)


def test_a_probe_opens_the_route_by_itself(locked):
    assert_waiting(locked)
    asked = locked.server.attempts_to_log_in
    _let_time_pass()
    # Still wrong: one mail asked for all of them, and the pause is longer now.
    until(_is_lengthened, 30, lambda: (routes.paused("default"), locked.logs))
    until(lambda: routes.parked("default") == COUNT, 20, lambda: locked.logs)
    assert locked.server.attempts_to_log_in == asked + 1
    assert failed.count() == 0

    locked.server.password = OLD
    _let_time_pass()
    assert_all_arrive_once(locked)


def _let_time_pass() -> None:
    """The pause's time is over."""
    get_state().hset(key("route", "default"), "until", 1)


def _is_lengthened() -> bool:
    """Paused anew, for longer than the first minute, and nobody is probing it."""
    found: dict[bytes, bytes] = get_state().hgetall(key("route", "default"))  # type: ignore[assignment]
    return float(found.get(b"seconds", 0)) > 60 and b"probe" not in found
