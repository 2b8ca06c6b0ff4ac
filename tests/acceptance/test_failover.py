"""Several routes: which of them a mail takes, and what becomes of it when that one is in trouble.

Real workers, and a server for each route. An account's trouble is played by a server that says
what providers say, until it is told to stop.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from support.outages import ComesAndGoes
from support.processes import environment, until, worker
from support.two_routes import (
    Provider,
    Trouble,
    all_sent,
    blamed,
    hasten,
    is_quiet,
    let_time_pass,
    mail,
    names,
    send,
    with_routes,
)

from mailqueue import Handle, Status, enqueue, failed, ledger, routes, schedule
from mailqueue.desk.standing import standing_of
from mailqueue.outcomes import Stage
from mailqueue.state import get_state, key
from worker.policy import PAUSES, Kind

#: Replies about the account, each to an account (and so a route) of its own.
TROUBLES: dict[str, tuple[Kind, Trouble]] = {
    "ses-rate": (
        Kind.RATE,
        Trouble(
            Stage.CONTENT, "454 Throttling failure: Maximum sending rate exceeded.", after=1
        ),
    ),
    "ses-quota": (
        Kind.QUOTA,
        Trouble(
            Stage.CONTENT, "454 Throttling failure: Daily message quota exceeded.", after=1
        ),
    ),
    "gmail": (
        Kind.QUOTA,
        Trouble(Stage.RECIPIENT, "550 5.4.5 Daily user sending limit exceeded. gsmtp", after=1),
    ),
    "m365-connections": (
        Kind.CONCURRENCY,
        Trouble(Stage.SENDER, "432 4.3.2 Concurrent connections limit exceeded.", after=1),
    ),
    "m365-quota": (
        Kind.QUOTA,
        Trouble(
            Stage.CONTENT,
            "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; failed",
            after=1,
        ),
    ),
    "sendgrid": (Kind.QUOTA, Trouble(Stage.SENDER, "451 Maximum credits exceeded", after=1)),
    "login-535": (
        Kind.LOGIN, Trouble(Stage.LOGIN, "535 5.7.8 Authentication credentials invalid"),
    ),
    "login-534": (
        Kind.LOGIN, Trouble(Stage.LOGIN, "534 5.7.9 Please log in with your web browser"),
    ),
    "login-530": (
        Kind.LOGIN, Trouble(Stage.SENDER, "530 5.7.0 Authentication required", after=1),
    ),
}  # fmt: skip
#: These stay paused until somebody tries.
PROBED = [name for name, (kind, _) in TROUBLES.items() if PAUSES[kind].probe]
LOGIN = Trouble(Stage.LOGIN, "535 5.7.8 Authentication credentials invalid")


@pytest.fixture
def first() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture
def second() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture
def two(redis_settings, first: Provider, second: Provider) -> dict[str, str]:
    """Two routes; while the first is closed, the second is taken."""
    return with_routes(
        redis_settings,
        {
            "first": first.route("first", failover=["second"]),
            "second": second.route("second"),
        },
    )


def test_an_account_in_trouble_costs_no_mail_anything_while_another_route_is_open(
    redis_settings, first: Provider, second: Provider, tmp_path
):
    table = {name: first.route(name, failover=["second"]) for name in TROUBLES}
    settings = with_routes(redis_settings, table | {"second": second.route("second")})
    first.trouble = {name: trouble for name, (_, trouble) in TROUBLES.items()}
    with worker(settings, tmp_path / "worker.log") as running:
        # In the middle of a batch: the first mail of each is still taken, save where nobody is let
        # in at all.
        handles = {name: send(name, range(4)) for name in TROUBLES}
        everything = [handle for some in handles.values() for handle in some]
        until(lambda: all_sent(everything), 60, lambda: (second.arrived, running.log[-3000:]))
        by_first = {name: trouble.after for name, (_, trouble) in TROUBLES.items()}
        assert first.arrived == {
            one: 1 for name, count in by_first.items() for one in names(name, range(count))
        }
        assert second.arrived == {
            one: 1 for name, count in by_first.items() for one in names(name, range(count, 4))
        }
        assert not blamed(everything)
        for name, (kind, trouble) in TROUBLES.items():
            assert_slowed_down(name, kind, trouble)
        assert routes.paused("second") is None
        # Mail that comes while they are paused does not even ask.
        asked = {name: first.asked[name] for name in PROBED}
        later = [handle for name in PROBED for handle in send(name, [4])]
        until(lambda: all_sent(later), 30, lambda: running.log[-3000:])
        assert all(second.arrived[f"{name}+4"] == 1 for name in PROBED)
        assert {name: first.asked[name] for name in PROBED} == asked

        # The provider is content again, and a person opens the routes; others open by time.
        first.trouble = {}
        for name in TROUBLES:
            routes.resume(name)
        latest = [handle for name in TROUBLES for handle in send(name, [5])]
        until(lambda: all_sent(latest), 30, lambda: running.log[-3000:])
        assert all(first.arrived[f"{name}+5"] == 1 for name in TROUBLES)
        until(is_quiet, 20)
    assert not any(second.arrived[f"{name}+5"] for name in TROUBLES)
    assert not blamed(everything + later + latest)
    assert {*first.arrived.values(), *second.arrived.values()} == {1}


def assert_slowed_down(name: str, kind: Kind, trouble: Trouble) -> None:
    """The route is paused as such trouble wants it; where time heals, that may be over by now."""
    rule, paused = PAUSES[kind], routes.paused(name)
    # What counts pauses in a row is kept four times as long as the longest of them.
    kept = get_state().ttl(key("route", name, "steps"))
    assert 3 * rule.longest < kept <= 4 * rule.longest
    if paused is None:
        assert not rule.probe, name
        return
    assert paused.kind == kind
    assert paused.reason == trouble.reply
    assert paused.until is not None
    if rule.probe:
        # However many mails met it, it is one piece of news.
        assert rule.first - 1 < paused.until - paused.since <= rule.first + 1


def test_new_mail_probes_a_route_that_no_mail_waits_for(
    two, first: Provider, second: Provider, tmp_path
):
    first.trouble["first"] = LOGIN
    with worker(two, tmp_path / "worker.log") as running:
        handles = send("first", range(3))
        until(lambda: all_sent(handles), 30, lambda: running.log[-3000:])
        assert second.arrived == dict.fromkeys(names("first", range(3)), 1)
        assert routes.parked("first") == 0

        # Its time is over, and nobody has corrected the password: one mail asks for all of them,
        # and loses nothing by it.
        asked = first.asked["first"]
        let_time_pass("first")
        handles += send("first", range(3, 6))
        until(lambda: all_sent(handles), 30, lambda: running.log[-3000:])
        assert second.arrived == dict.fromkeys(names("first", range(6)), 1)
        assert first.asked["first"] == asked + 1
        paused = routes.paused("first")
        assert paused
        assert paused.kind == "login"

        del first.trouble["first"]
        let_time_pass("first")
        handles += send("first", range(6, 9))
        until(lambda: all_sent(handles), 30, lambda: running.log[-3000:])
        until(lambda: routes.paused("first") is None, 20, lambda: running.log[-3000:])
        assert sum(first.arrived.values()) >= 1  # the probe; what came with it went either way
        before = first.arrived
        handles += send("first", range(9, 12))
        until(lambda: all_sent(handles), 30, lambda: running.log[-3000:])
        assert first.arrived - before == dict.fromkeys(names("first", range(9, 12)), 1)
        until(is_quiet, 20)
    assert first.arrived + second.arrived == dict.fromkeys(names("first", range(12)), 1)
    assert not blamed(handles)


def test_a_server_that_is_away_is_passed_by_until_it_is_back(
    redis_settings, second: Provider, tmp_path
):
    with ComesAndGoes(present=False) as away:
        settings = with_routes(
            redis_settings,
            {
                "first": {"host": "127.0.0.1", "port": away.port, "failover": ["second"]},
                "second": second.route("second"),
            },
        )
        with worker(settings, tmp_path / "worker.log") as running:
            # One batch each: three failures in a row are what it takes.
            handles = [handle for number in range(4) for handle in send("first", [number])]

            def is_away() -> bool:
                hasten(handles)
                return routes.paused("first") is not None

            until(is_away, 30, lambda: running.log[-3000:])

            def all_are_there() -> bool:
                hasten(handles)
                return all_sent(handles)

            until(all_are_there, 30, lambda: running.log[-3000:])
            assert second.arrived == dict.fromkeys(names("first", range(4)), 1)
            paused = routes.paused("first")
            assert paused
            assert paused.kind == "away"
            assert paused.reason.startswith("ConnectionRefusedError")
            assert not blamed(handles)

            away.come()
            routes.resume("first")
            handles += send("first", [4, 5])
            until(lambda: len(away.received) == 2, 30, lambda: running.log[-3000:])
            until(lambda: all_sent(handles) and is_quiet(), 20)
        assert second.arrived == dict.fromkeys(names("first", range(4)), 1)
        assert not blamed(handles)


@contextmanager
def all_closed(
    two: dict[str, str], first: Provider, second: Provider, log: Path
) -> Iterator[tuple[list[Handle], Callable[[], object]]]:
    """Nobody is let in anywhere, and ten mails wait; in the end, each has arrived once."""
    first.trouble = {"first": LOGIN}
    second.trouble = {"second": LOGIN}
    with worker(two, log) as running:

        def explain() -> object:
            paused = [routes.paused(name) for name in ("first", "second")]
            return paused, parked(), running.log[-2000:]

        def parked() -> int:
            return routes.parked("first") + routes.parked("second")

        handles = [handle for n in range(0, 10, 2) for handle in send("first", [n, n + 1])]
        until(lambda: parked() == 10, 30, explain)
        assert routes.paused("first")
        assert routes.paused("second")
        assert {handle.status() for handle in handles} == {Status.DEFERRED}
        assert not blamed(handles)
        yield handles, explain
        until(is_quiet, 20, explain)
    assert first.arrived + second.arrived == dict.fromkeys(names("first", range(10)), 1)
    assert not blamed(handles)


@pytest.mark.parametrize("opened", ["first", "second"])
def test_with_all_routes_closed_mail_waits_and_leaves_by_the_one_that_is_opened(
    two, first: Provider, second: Provider, tmp_path, opened: str
):
    with all_closed(two, first, second, tmp_path / "worker.log") as (handles, explain):
        server = {"first": first, "second": second}[opened]
        server.trouble = {}
        routes.resume(opened)
        until(lambda: all_sent(handles), 20, explain)
        assert server.arrived == dict.fromkeys(names("first", range(10)), 1)


@pytest.mark.parametrize("content", ["first", "second", "both"])
def test_with_all_routes_closed_a_probe_finds_the_one_that_works_again(
    two, first: Provider, second: Provider, tmp_path, content: str
):
    with all_closed(two, first, second, tmp_path / "worker.log") as (handles, explain):
        for name, server in {"first": first, "second": second}.items():
            if content in {name, "both"}:
                server.trouble = {}
        let_time_pass("first", "second")
        until(lambda: all_sent(handles), 20, explain)


def test_a_choice_gives_each_its_share_and_one_of_them_all_while_the_other_is_closed(
    redis_settings, first: Provider, second: Provider, tmp_path
):
    settings = with_routes(
        redis_settings,
        {
            "mixed": {"choose": {"first": 3, "second": 1}},
            "first": first.route("first"),
            "second": second.route("second"),
        },
        MAILQUEUE_BATCH_SIZE="1",
    )
    with worker(settings, tmp_path / "worker.log") as running:
        handles = send("mixed", range(80))
        until(lambda: all_sent(handles), 40, lambda: running.log[-3000:])
        # By chance: 60 and 20 are to be expected, and less than 35 or 1 happen once in 10^9 runs.
        assert sum(first.arrived.values()) >= 35
        assert sum(second.arrived.values()) >= 1
        assert first.arrived + second.arrived == dict.fromkeys(names("mixed", range(80)), 1)

        for closed, server in (("first", second), ("second", first)):
            routes.pause_by_hand(closed, "no reason")
            before = server.arrived
            numbers = range(100, 110) if closed == "first" else range(200, 210)
            more = send("mixed", numbers)
            until(partial(all_sent, more), 30, lambda: running.log[-3000:])
            assert server.arrived - before == dict.fromkeys(names("mixed", numbers), 1)
            handles += more
            routes.resume(closed)
        # A provider that closes it does the same.
        first.trouble["mixed"] = Trouble(Stage.SENDER, "451 Maximum credits exceeded")
        handles += send("mixed", range(300, 320))
        until(lambda: all_sent(handles), 40, lambda: running.log[-3000:])
        assert not first.arrived.keys() & set(names("mixed", range(300, 320)))
        until(is_quiet, 20)
    assert {*(first.arrived + second.arrived).values()} == {1}
    assert not blamed(handles)


def test_a_session_that_has_had_enough_is_no_reason_to_take_another_route(
    two, first: Provider, second: Provider, tmp_path
):
    first.hang_up_after = 7  # without a word, for comparison
    said: list[str] = []
    enough = "421 Maximum message count per session reached"

    def reply_to(stage: Stage, sender: str, recipient: str = "") -> str | None:
        if stage is Stage.SENDER and sender.startswith("first+3@") and not said:
            said.append(enough)
            return enough
        return None

    first.reply_to = reply_to  # type: ignore[method-assign]
    with worker(two, tmp_path / "worker.log") as running:
        handles = send("first", range(10))
        until(lambda: all_sent(handles), 30, lambda: running.log[-3000:])
        assert routes.paused("first") is None
        until(is_quiet, 20)
    assert said
    assert first.arrived == dict.fromkeys(names("first", range(10)), 1)
    assert len({received.connection for received in first.received}) == 3
    assert not second.connections
    assert not blamed(handles)


def schedule_of(handle: Handle) -> float | None:
    """When a mail is due; None where it waits for no time."""
    found = schedule.find(handle.id)
    return found.due if found else None


def test_mail_of_a_route_that_is_gone_waits_until_it_is_back(
    redis_settings, first: Provider, second: Provider, tmp_path
):
    table = {"first": first.route("first"), "second": second.route("second")}
    settings = with_routes(redis_settings, table)
    # Some of it is parked there, some is at the broker.
    routes.pause_by_hand("first", "no reason")
    with worker(settings, tmp_path / "before.log") as running:
        handles = send("first", range(3))
        until(lambda: routes.parked("first") == 3, 30, lambda: running.log[-3000:])
    handles += send("first", range(3, 5))
    without = with_routes(redis_settings, {"second": table["second"]})
    with worker(without, tmp_path / "without.log") as running:
        others = send("second", range(3))
        until(lambda: all_sent(others), 30, lambda: running.log[-3000:])
        routes.resume("first")

        def all_wait() -> bool:
            # For a minute; what a poller is about to publish is leased for 30 s.
            return all((schedule_of(h) or 0) > time.time() + 35 for h in handles)

        until(lambda: all_wait() and ledger.in_flight() == 0, 30, lambda: running.log[-3000:])
        assert "MAILQUEUE_ROUTES has no route 'first'" in running.log
        for handle in handles:
            standing = standing_of(handle.id)
            assert standing
            assert (standing.status, standing.attempts) == (Status.DEFERRED, 0)
    assert failed.count() == 0
    assert not first.connections
    settings = with_routes(redis_settings, table)
    with worker(settings, tmp_path / "after.log") as running:
        hasten(handles)
        until(lambda: all_sent(handles), 30, lambda: running.log[-3000:])
        until(is_quiet, 20)
    assert first.arrived == dict.fromkeys(names("first", range(5)), 1)
    assert second.arrived == dict.fromkeys(names("second", range(3)), 1)
    assert not blamed(handles)


#: ``MAILQUEUE_ROUTER``: as the subject says.
ROUTER = """
def router(message):
    return "first" if message.subject == "by the first" else None
"""


def test_a_mail_takes_the_route_that_it_was_given(
    redis_settings, first: Provider, second: Provider, tmp_path: Path, monkeypatch
):
    (tmp_path / "routes_by_subject.py").write_text(ROUTER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Provider() as third, Provider() as usual:
        settings = with_routes(
            redis_settings,
            {
                "first": first.route("first"),
                "second": second.route("second", senders=["second@example.com"]),
                "third": third.route("third", senders=["@third.example"]),
                "default": usual.route("default"),
            },
            MAILQUEUE_ROUTER="routes_by_subject.router",
        )

        def from_(sender: str, subject: str = "Subject"):
            message = mail("x")
            message.from_email, message.subject = sender, subject
            return message

        eml = tmp_path / "mail.eml"
        eml.write_bytes(from_("eml@third.example").message().as_bytes())
        with worker(settings, tmp_path / "worker.log") as running:
            handles = enqueue(
                [
                    from_("asks.router@example.com", "by the first"),
                    from_("Second <SECOND@Example.com>"),
                    from_("anyone@third.example"),
                    from_("second@example.com", "by the first"),
                    from_("nobody@example.com"),
                    from_("deep@sub.third.example"),
                ]
            )
            handles += enqueue([from_("asked@third.example", "by the first")], route="second")
            handles += enqueue([from_("later@third.example")], delay=1)
            command = [sys.executable, "-m", "mailqueue", "send", "--eml", str(eml)]
            for extra in ([], ["--route", "first"]):
                done = subprocess.run(
                    command + extra, env=environment(settings), text=True, capture_output=True,
                    timeout=60, check=False,
                )  # fmt: skip
                assert done.returncode == 0, done.stderr
            servers = (first, second, third, usual)
            until(lambda: sum(len(one.received) for one in servers) == 10, 30, lambda: running.log)
            until(lambda: all_sent(handles) and is_quiet(), 20)
        went = [sorted(mail.sender for mail in server.received) for server in servers]
    assert went == [
        ["asks.router@example.com", "eml@third.example", "second@example.com"],
        ["SECOND@Example.com", "asked@third.example"],
        ["anyone@third.example", "eml@third.example", "later@third.example"],
        ["deep@sub.third.example", "nobody@example.com"],
    ]
    totals = ledger.totals()
    assert {name: totals[name]["sent"] for name in ("first", "second", "third", "default")} == {
        "first": 3, "second": 2, "third": 3, "default": 2,
    }  # fmt: skip
    assert failed.count() == 0
