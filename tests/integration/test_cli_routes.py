"""``mailqueue routes``: list, pause, resume."""

import json

import pytest
from click.testing import CliRunner
from support.filling import mail, parks, settle

from mailqueue import conf, routes
from mailqueue.cli import main
from mailqueue.outcomes import Status
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
    assert "no mail went by route bulk so far" in run("pause", "bulk").stderr
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
