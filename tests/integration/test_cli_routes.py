"""``mailqueue routes``: list, pause, resume."""

import json
from typing import Any

import pytest
from click.testing import CliRunner
from support.filling import mail, parks, settle

from mailqueue import bounds, conf, leases, limits, routes
from mailqueue.cli import main
from mailqueue.outcomes import Status
from mailqueue.routing import ways as routing
from mailqueue.state import get_state, key


@pytest.fixture(autouse=True)
def _state(redis_settings):
    conf.configure(**redis_settings)


def run(*arguments, exit_code=0):
    result = CliRunner().invoke(main, ["routes", *arguments])
    assert result.exit_code == exit_code, (result.output, result.exception)
    return result


def test_every_route_that_is_known_is_listed_with_why_it_is_paused():
    settle(mail(1), Status.SENT, route="news")
    get_state().hincrby(key("totals"), "failed:pruned", 3)  # which is no route
    routes.pause("bulk", "quota", "550 5.4.5 <x@example.com> daily limit", first=7300,
                 longest=9000, probe=True)  # fmt: skip
    parks(mail(2, route="bulk"))
    result = run("list")
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    said = " ".join(result.stdout.split())
    assert "bulk paused 1" in said
    assert "mailqueue routes resume bulk" in said
    found = json.loads(run("list", "--json").stdout)["routes"]
    assert [(r["route"], r["parked"]) for r in found] == [("bulk", 1), ("default", 0), ("news", 0)]
    assert found[0]["paused"]["kind"] == "quota"
    assert found[1]["paused"] is None


ROUTES: dict[str, Any] = {
    "ses": {
        "host": "h.example", "preset": "gmail", "limits": ["2/day", "9 recipients/h"],
        "concurrency": 3, "failover": ["default"],
        "domains": {"microsoft": {"domains": ["outlook.com"], "limits": ["5/s"]}},
    },
    "mixed": {"choose": {"ses": 3, "default": 1}},
}  # fmt: skip


@pytest.fixture
def configured(redis_settings):
    conf.configure(**redis_settings, MAILQUEUE_ROUTES=ROUTES)
    return routing.ways(conf.get_settings())["ses"]


def test_a_configured_route_tells_limits_connections_and_what_waits_in_each_line(configured):
    limits.take(bounds.route_bounds(configured), 4, patience=0)
    leases.acquire("ses", "worker/1", 3, 60)
    parks(mail(1, route="ses"))
    parks(mail(2, route=routes.open_line("ses", "microsoft")))
    result = run("list")
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    said = " ".join(result.stdout.split())
    for words in ("ses open 1 1 of 3 2/day: 1 used gmail 9 recipients/h: 4 used",
                  "ses@microsoft open 1 5/s: 0 used",
                  "mixed chooses from ses (3 in 4), default (1 in 4)"):  # fmt: skip
        assert words in said
    default, mixed, ses = json.loads(run("list", "--json").stdout)["routes"]
    assert ses == {
        "route": "ses", "configured": True, "paused": None, "parked": 2, "preset": "gmail",
        "limits": [{"limit": "2/day", "used": 1, "remaining": 1},
                   {"limit": "9 recipients/h", "used": 4, "remaining": 5}],
        "connections": {"held": 1, "most": 3}, "failover": ["default"], "choose": {},
        "lines": [
            {"line": "ses", "parked": 1, "domains": [], "limits": ses["limits"]},
            {"line": "ses@microsoft", "parked": 1, "domains": ["outlook.com"],
             "limits": [{"limit": "5/s", "used": 0, "remaining": 5}]},
        ],
    }  # fmt: skip
    assert mixed["choose"] == ROUTES["mixed"]["choose"]
    assert (default["connections"], default["limits"]) == (None, [])


def test_a_route_at_its_limit_says_so_and_so_do_its_groups(configured):
    for _ in range(2):
        limits.take(bounds.route_bounds(configured), patience=0)
    said = " ".join(run("list").stdout.split())
    assert "ses at its limit 0" in said
    assert "ses@microsoft at its limit 0" in said


def test_all_connections_taken_is_a_state(configured):
    for holder in "abc":
        leases.acquire("ses", holder, 3, 60)
    words = run("list").stdout.split()
    assert {"all", "connections", "taken"} <= set(words)


def test_a_route_that_only_chooses_cannot_be_paused(configured):
    refused = run("pause", "mixed", exit_code=1).stderr
    assert "it chooses from ses (3 in 4), default (1 in 4)" in refused
    assert routes.paused("mixed") is None
    assert run("pause", "ses").stderr == ""


def test_a_route_of_the_past_is_not_configured():
    settle(mail(1), Status.SENT, route="old")
    assert "old not configured 0" in " ".join(run("list").stdout.split())


def test_a_route_is_paused_by_hand_until_it_is_resumed():
    said = run("pause", "default", "--reason", "new\nserver").stdout
    assert said == "default is paused; to go on: mailqueue routes resume default\n"
    paused = routes.paused("default")
    assert paused is not None
    assert (paused.kind, paused.reason, paused.until) == ("manual", "new server", None)
    assert "by hand" in run("list").stdout
    parks(mail(1))
    assert run("resume", "default").stdout == "default is open; 1 mail follows\n"
    assert routes.paused("default") is None
    assert run("resume", "default").stdout.startswith("default was open")


def test_all_routes_are_resumed_at_once():
    run("pause", "default")
    assert "no route is called bulk here" in run("pause", "bulk").stderr
    assert run("resume", "--all").stdout == "bulk is open\ndefault is open\n"
    assert run("resume", "--all").stdout == "no route is paused\n"


@pytest.mark.parametrize(
    "arguments",
    [("resume",), ("resume", "bulk", "--all"), ("pause",), ("pause", "a:b"), ("pause", "")],
)
def test_wrong_usage(arguments):
    run(*arguments, exit_code=2)
    assert routes.known() == ["default"]


def test_a_route_that_nobody_knows_is_told():
    assert "no route is called bluk" in run("resume", "bluk", exit_code=1).stderr
