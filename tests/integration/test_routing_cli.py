"""Routes on the command line: ``mailqueue send --route --priority``, and what ``check`` says."""

import json

import pytest
from click.testing import CliRunner

from mailqueue import enqueuing
from mailqueue.cli import main

MAIL = ("--to", "ann@example.com", "--body", "b")


@pytest.fixture
def taken(monkeypatch):
    monkeypatch.setenv("MAILQUEUE_ROUTES", json.dumps({"news": {"host": "h.example"}}))
    found: list[tuple[str, str]] = []

    def publish(batches):
        found.extend((item.route, item.priority) for batch in batches for item in batch)

    with enqueuing.published_by(publish):
        yield found


def send(*arguments):
    return CliRunner().invoke(main, ["send", *arguments])


def test_send_takes_a_route_and_a_priority(taken, tmp_path):
    letter = tmp_path / "letter.eml"
    letter.write_text("From: us@example.com\nTo: ann@example.com\n\nbody\n")
    assert send(*MAIL).exit_code == 0
    assert send(*MAIL, "--route", "news", "--priority", "high").exit_code == 0
    assert send("--eml", str(letter), "--route", "news", "--priority", "bulk").exit_code == 0
    assert taken == [("default", "normal"), ("news", "high"), ("news", "bulk")]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--route", "nws"), "route is 'nws'; the routes are default, news"),
        (("--priority", "urgent"), "'high', 'normal', 'bulk'"),
    ],
)
def test_what_there_is_not_is_wrong_usage(taken, options, says):
    result = send(*MAIL, *options)
    assert result.exit_code == 2
    assert says in result.output
    assert taken == []


def test_check_lists_all_that_is_wrong_with_routes(redis_settings, monkeypatch):
    wrong = {"a": {"limits": ["x"]}, "b": {"preset": "gmail"}, "c": {"failover": ["d"]}}
    for name, value in (redis_settings | {"MAILQUEUE_ROUTES": json.dumps(wrong)}).items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(main, ["check"])
    assert result.exit_code == 1
    for says in ("route 'a': limits[0]", "route 'b': username is missing", "route 'c': failover"):
        assert says in result.output
