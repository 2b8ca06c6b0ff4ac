"""docs/cli.md: its examples are commands that there are, and it names every key."""

import json
import re
import shlex
import uuid
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from support.filling import fails, mail, name, waits

from mailqueue import conf, routes
from mailqueue.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text("utf-8")
COMMANDS = re.findall(r"^\$ mailqueue (.*)$", PAGE, re.MULTILINE)
ID = re.compile(r"\b[0-9a-f]{32}\b")


@pytest.fixture
def filled(redis_settings):
    conf.configure(**redis_settings)
    fails(mail(1))
    waits(mail(2))
    routes.pause_by_hand("default", "new server")


@pytest.mark.parametrize("line", COMMANDS)
def test_each_example_is_run(filled, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    number = 1 if line.startswith("failed") else 2
    result = CliRunner().invoke(main, shlex.split(ID.sub(name(number), line)))
    # Nobody answers at the SMTP port.
    assert result.exit_code == (1 if line == "check" else 0), result.output
    assert "Traceback" not in result.output


def test_there_are_examples_of_every_command_for_operators():
    groups = {line.split()[0] for line in COMMANDS}
    assert groups == {"status", "stats", "failed", "scheduled", "routes", "check"}
    for group in ("failed", "scheduled", "routes"):
        command = main.get_command(click.Context(main), group)
        assert isinstance(command, click.Group)
        shown = {line.split()[1] for line in COMMANDS if line.startswith(group)}
        assert shown == set(command.commands)


def keys(value) -> set[str]:
    if isinstance(value, dict):
        open_ended = {"totals", "by_reason", "refused", "choose"}
        return set(value).union(*(keys(v) for k, v in value.items() if k not in open_ended))
    return set().union(*map(keys, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize(
    "line",
    ["stats", f"status {name(1)}", f"status {name(2)}", "failed list", f"failed show {name(1)}",
     f"failed retry {name(1)}", f"failed discard {name(1)} --yes", "scheduled list",
     f"scheduled cancel {name(2)}", "routes list"],
)  # fmt: skip
def test_every_key_is_named(filled, line):
    result = CliRunner().invoke(main, [*line.split(), "--json"])
    assert result.exit_code == 0, result.output
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]*)`", PAGE))))
    assert keys(json.loads(result.stdout)) <= named


def test_the_ids_are_such_as_there_are():
    assert all(uuid.UUID(found).hex == found for found in ID.findall(PAGE))
