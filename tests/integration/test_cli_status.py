"""``mailqueue status``: where one mail stands, at each station of its way."""

import json
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from support.brokers import free_port
from support.filling import RUN, fails, mail, name, parks, settle, waits
from support.processes import environment

from mailqueue import bounds, conf, failed, ledger, limits, routes, schedule
from mailqueue.cli import main
from mailqueue.desk.retrying import retry
from mailqueue.desk.standing import standing_of
from mailqueue.outcomes import Status
from mailqueue.routing import ways as routing
from mailqueue.state import get_state, key

ID = name(1)


@pytest.fixture(autouse=True)
def _state(redis_settings):
    conf.configure(**redis_settings)


def status(*options, exit_code=0):
    result = CliRunner().invoke(main, ["status", *options])
    assert result.exit_code == exit_code, (result.output, result.exception)
    assert "secret" not in result.output
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    return result


def document(id_: str = ID):
    return json.loads(status(id_, "--json").stdout)


def test_of_a_mail_that_no_worker_has_met_it_says_what_that_may_mean():
    result = status(ID, exit_code=1)
    assert result.stdout == ""
    assert "still queued, or it was never here, or it is forgotten, 3 d after" in result.stderr
    assert "MAILQUEUE_LEDGER_TTL" in result.stderr
    assert json.loads(status(ID, "--json", exit_code=1).stdout) == {"id": ID, "status": None}
    assert standing_of(ID) is None


def test_a_deferred_mail_tells_attempts_last_reply_due_time_and_for_whom():
    waits(mail(tries=()), 300)
    result = status(f"<{ID}@host>")
    assert "deferred: again later" in result.stdout
    assert "451 4.7.1 try again later" in result.stdout
    assert "(in 4 min)" in result.stdout
    assert "(10 min ago)" in result.stdout
    assert "ann@example.com" in result.stdout
    found = document()
    assert (found["status"], found["attempts"], found["parked_for"]) == ("deferred", 1, None)
    assert 290 < found["due_at"] - time.time() <= 300
    assert found["recipients"] == ["ann@example.com"]


def test_a_mail_that_waits_for_its_route_tells_the_pause():
    routes.pause("bulk", "login", "535 5.7.8 no", first=200, longest=900, probe=True)
    parks(mail(route="bulk"))
    said = " ".join(status(ID).stdout.split())
    assert "waits for route bulk: paused 0 s (login: 535 5.7.8 no), 1 mail waits;" in said
    found = document()
    assert (found["parked_for"], found["due_at"]) == ("bulk", None)
    assert found["paused"]["kind"] == "login"
    routes.resume("bulk")
    assert "open, but not configured here" in status(ID).stdout


def test_a_mail_that_waits_in_the_line_of_another_route_tells_which(redis_settings):
    group = {"domains": ["example.com"], "limits": ["5/h"]}
    ses = {"host": "h.example", "limits": ["1/day"], "domains": {"ours": group}}
    conf.configure(**redis_settings, MAILQUEUE_ROUTES={"ses": ses, "a": {"failover": ["ses"]}})
    waits(mail(1, route="a"), parked=True, line="ses")
    waits(mail(2, route="a"), parked=True, line=routes.open_line("ses", "ours"))
    said = " ".join(status(ID).stdout.split())
    assert "route a waits for route ses: going as its limits allow (1/day); 1 mail waits" in said
    limits.take(bounds.route_bounds(routing.ways(conf.get_settings())["ses"]), patience=0)
    assert "route ses: limit reached (1/day); 1 mail waits" in " ".join(status(ID).stdout.split())
    assert "route ses, domains ours: limit reached (1/day)" in " ".join(
        status(name(2)).stdout.split()
    )
    found = document(name(2))
    assert (found["route"], found["parked_for"], found["paused"]) == ("a", "ses@ours", None)
    routes.pause_by_hand("ses", "")
    assert document(name(2))["paused"]["kind"] == "manual"


def test_what_is_parked_in_no_line_is_about_to_be_moved():
    waits(mail(1))
    get_state().zrem(key("schedule"), ID)
    found = document()
    assert (found["parked_for"], found["due_at"], found["paused"]) == (None, None, None)


def test_a_bounced_mail_tells_its_place_in_the_failed_store():
    fails(mail(), detail="550 5.1.1 <ann@example.com>: no such user")
    said = " ".join(status(ID).stdout.split())
    assert "bounced: refused for good" in said
    assert "***@example.com>: no such user; mailqueue failed show" in said
    found = document()
    assert (found["status"], found["failed"], found["served"]) == ("bounced", 1, 0)
    assert found["kept"]["reason"] == "bounced"


def test_a_mail_partly_kept_and_partly_tried_tells_both():
    waits(mail(), served=2)
    failed.keep_message(mail(recipients=("bob@example.com",)), "bounced", "550 no")
    said = " ".join(status(ID).stdout.split())
    assert "deferred" in said
    assert "other recipients are still tried" in said
    assert "2 served" in said


@pytest.mark.parametrize("reason", ["bounced", "gave up", "expired", "unknown"])
def test_the_failed_store_knows_when_the_ledger_has_forgotten(reason):
    failed.keep_message(mail(), reason, "x")
    standing = standing_of(ID)
    assert standing is not None
    assert standing.status.final
    assert status(ID).stdout


def test_each_station_has_its_word():
    seen = []
    ledger.claim(RUN, "default", [ledger.Wanted(ID, 0)])
    seen.append(document()["status"])
    ledger.begin(RUN, ID)
    seen.append(document()["status"])
    settle(mail(), Status.DEFERRED, document=mail().encode(), delay=0)
    seen.append(document()["status"])
    schedule.published(schedule.take_due(1, 100))
    seen.append(document()["status"])  # at the broker again
    settle(mail(edition=1), Status.SENT, served=1)
    seen.append(document()["status"])
    assert seen == ["claimed", "sending", "deferred", "queued", "sent"]


def test_a_retried_mail_is_queued():
    fails(mail())
    retry(next(failed.entries()))
    assert document()["status"] == "queued"


def test_a_redis_that_is_away_is_a_sentence_without_its_password(redis_settings):
    url = f"redis://user:hunter2@127.0.0.1:{free_port()}/0"
    for command in (["status", ID], ["stats"], ["failed", "list"], ["scheduled", "list"],
                    ["routes", "list"], ["failed", "retry", "--all"]):  # fmt: skip
        conf.configure(**redis_settings | {"MAILQUEUE_REDIS_URL": url})
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 1, command
        assert result.stdout == ""
        assert "MAILQUEUE_REDIS_URL" in result.stderr
        assert "Connection refused" in result.stderr
        assert "hunter2" not in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_in_a_pipe_it_is_plain_and_never_a_traceback(redis_settings):
    fails(mail())

    def run(**changes):
        return subprocess.run(
            [sys.executable, "-m", "mailqueue", "status", ID],
            env=environment(redis_settings | changes), text=True, capture_output=True, check=False,
        )  # fmt: skip

    done = run(COLUMNS="20")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert ID in done.stdout
    away = run(MAILQUEUE_REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert away.returncode == 1
    assert len(away.stderr.splitlines()) == 1


def test_the_help_names_all_commands():
    shown = CliRunner().invoke(main, ["--help"]).stdout
    for name_ in ("send", "worker", "status", "stats", "failed", "scheduled", "routes", "check"):
        assert f"\n  {name_} " in shown
