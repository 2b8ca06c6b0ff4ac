"""``mailqueue scheduled``: what waits, and taking it back."""

import json

import pytest
from click.testing import CliRunner
from support.filling import RUN, mail, name, parks, settle, waits

from mailqueue import conf, ledger, routes, schedule
from mailqueue.cli import main
from mailqueue.outcomes import Status
from mailqueue.state import get_state, key


@pytest.fixture(autouse=True)
def _state(redis_settings):
    conf.configure(**redis_settings)


def run(*arguments, exit_code=0):
    result = CliRunner().invoke(main, ["scheduled", *arguments])
    assert result.exit_code == exit_code, (result.output, result.exception)
    assert "secret" not in result.output
    assert "ann@" not in result.output
    return result


def test_the_list_shows_the_next_due_first_then_what_is_parked():
    waits(mail(1), 7300)
    waits(mail(2, to="ann@example.org"), 130)
    routes.pause_by_hand("bulk", "")
    parks(mail(3, route="bulk"))
    get_state().hset(key("documents"), name(4), "0|garbage")
    get_state().zadd(key("schedule"), {name(4): 9e9})
    result = run("list")
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    at = [result.stdout.index(name(number)) for number in (2, 1, 4, 3)]
    assert at == sorted(at)
    for words in ("in 2 min", "in 2 h", "route bulk", "451 4.7.1 try again", "example.org"):
        assert words in result.stdout
    assert result.stdout.endswith("\n4 mails\n")
    found = json.loads(run("list", "--json").stdout)
    assert found["total"] == 4
    assert [e["parked_for"] for e in found["entries"]] == [None, None, None, "bulk"]
    assert found["entries"][0]["attempts"] == 1
    assert found["entries"][0]["domains"] == ["example.org"]
    assert found["entries"][2]["status"] == "scheduled"


def test_the_line_of_a_group_of_domains_is_named_and_counted():
    waits(mail(1), parked=True, line=routes.open_line("ses", "ours"))
    result = run("list")
    assert "route ses@ours" in " ".join(result.stdout.split())
    assert result.stdout.endswith("\n1 mail\n")
    (entry,) = json.loads(run("list", "--json").stdout)["entries"]
    assert (entry["parked_for"], entry["due_at"]) == ("ses@ours", None)
    assert run("cancel", "--all", "--yes").stdout == "1 mail cancelled\n"
    assert run("list").stdout == "0 mails\n"


def test_thousands_are_listed_in_pages():
    pipe = get_state().pipeline()
    for number in range(2000):
        pipe.hset(key("documents"), name(number), f"0|{mail(number).encode()}")
        pipe.zadd(key("schedule"), {name(number): 5e9 + number})
    pipe.execute()
    result = run("list", "--limit", "3")
    assert name(2) in result.stdout
    assert name(3) not in result.stdout
    assert "2,000 mails, 3 shown (--limit)" in result.stdout
    found = json.loads(run("list", "--limit", "0", "--json").stdout)
    assert [e["id"] for e in found["entries"]] == [name(number) for number in range(2000)]
    assert run("cancel", "--all", "--yes").stdout == "2,000 mails cancelled\n"
    assert schedule.count() == 0


def test_nothing_waits():
    assert run("list").stdout == "0 mails\n"
    assert run("cancel", "--all").stdout == "0 mails cancelled\n"


def test_a_cancelled_mail_is_gone_also_where_it_was_parked():
    waits(mail(1))
    routes.pause_by_hand("bulk", "")
    parks(mail(2, route="bulk"))
    assert run("cancel", name(1), f"<{name(2)}@host>").stdout == "2 mails cancelled\n"
    assert schedule.find(name(1)) is schedule.find(name(2)) is None
    assert routes.parked("bulk") == 0
    assert ledger.claim(RUN, "default", [ledger.Wanted(name(1), 1)]) == ["over"]


def test_what_cannot_be_taken_back_is_told_with_the_reason():
    settle(mail(1), Status.SENT)
    ledger.claim(RUN, "default", [ledger.Wanted(name(2), 0)])
    waits(mail(3))
    result = run("cancel", name(1), name(2), name(3), exit_code=1)
    assert "1 mail cancelled" in result.stdout
    assert f"{name(1)}: too late, it is sent" in result.stderr
    assert f"{name(2)}: too late, a worker has it (claimed)" in result.stderr
    found = json.loads(run("cancel", name(1), "--json", exit_code=1).stdout)
    assert found == {"cancelled": 0, "if_queued": [], "refused": {name(1): "sent"}}


def test_a_mail_at_the_broker_is_taken_back_should_it_be_there():
    assert "should it be queued, it is not sent" in run("cancel", name(1)).stdout
    assert ledger.claim(RUN, "default", [ledger.Wanted(name(1), 0)]) == ["over"]


@pytest.mark.parametrize("arguments", [(), ("--all", name(1))])
def test_nothing_or_everything_and_something_is_wrong_usage(arguments):
    waits(mail(1))
    run("cancel", *arguments, exit_code=2)
    assert "--yes" in run("cancel", "--all", exit_code=2).stderr
    assert schedule.count() == 1
