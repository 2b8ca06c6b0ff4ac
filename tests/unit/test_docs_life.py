"""docs/life-of-a-mail.md knows each status, each verdict and each key that there is."""

import re
from pathlib import Path

import pytest

from mailqueue import conf
from mailqueue.broker import PRIORITIES, queue_name
from mailqueue.ledger import Verdict
from mailqueue.outcomes import Status

PAGE = (Path(__file__).parents[2] / "docs" / "life-of-a-mail.md").read_text("utf-8")
MAIL, CLAIM = re.findall(r"```mermaid\nstateDiagram-v2\n(.*?)```", PAGE, re.DOTALL)
[PLAIN] = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)


def states(diagram: str) -> set[str]:
    """Both ends of all arrows."""
    arrows = re.findall(r"^ +(\S+) --> ([^\s:]+)", diagram, re.MULTILINE)
    return {end for arrow in arrows for end in arrow} - {"[*]"}


def first_cells(heading: str) -> list[str]:
    """First column of the table whose head begins like this."""
    table = PAGE.partition(f"| {heading} |")[2].partition("\n\n")[0]
    return re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)


def test_the_states_of_the_picture_are_the_statuses() -> None:
    assert states(MAIL) == set(Status)
    assert set(Status) <= set(re.findall(r"\w+", PLAIN))


def test_a_final_status_is_left_by_a_person_or_not_at_all() -> None:
    for status in Status:
        left_for = set(re.findall(rf"^ +{status} --> (.*)$", MAIL, re.MULTILINE))
        assert bool(left_for <= {"[*]", "queued: failed retry"}) is status.final, status


def test_each_status_has_its_line() -> None:
    assert first_cells("status") == list(Status)


def test_each_verdict_is_in_the_picture_and_has_its_line() -> None:
    ends = {"sending", "unknown", "waits", "skipped"}
    assert states(CLAIM) == set(Verdict) | ends
    assert first_cells("verdict") == list(Verdict)


@pytest.mark.parametrize("module", ["schedule", "failed", "ledger", "routes", "limits", "leases"])
def test_it_names_the_keys_of_the_state_store(module: str) -> None:
    text = (Path(__file__).parents[2] / "mailqueue" / f"{module}.py").read_text("utf-8")
    for call in re.findall(r"\bkey\(([^)]+)\)", text):
        name = ":".join(re.findall(r'"([\w-]+)"', call)[:1])
        assert f"mailqueue:{name}" in PAGE, call


def test_it_names_the_queues() -> None:
    names = [queue_name(conf.get_settings().MAILQUEUE_QUEUE, p) for p in PRIORITIES]
    assert PAGE.count(", ".join(f"`{name}`" for name in names)) == 2  # one for each broker


def test_it_names_each_priority() -> None:
    priorities = PAGE.partition("## Priorities")[2].partition("\n## ")[0]
    assert {f"`{priority}`" for priority in PRIORITIES} <= set(re.findall(r"`\w+`", priorities))
