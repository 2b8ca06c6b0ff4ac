"""Events of a program that enqueues, with functions named in its settings."""

import os
from pathlib import Path

import pytest
from support.brokers import free_port
from support.processes import python

LISTENER = """
def on_event(event):
    print(event.name, event.id, event.message_id, *event.recipients)

def broken(event):
    raise RuntimeError("cannot")
"""

PROGRAM = """
import sys
from mailqueue import EmailMessage, EnqueueError, enqueue

messages = [
    EmailMessage("s", "b", "us@example.com", [f"reader{n}@example.com"]) for n in range(3)
]
try:
    for handle in enqueue(messages):
        print("handle", *handle)
except EnqueueError:
    print("refused")
"""


@pytest.fixture
def run(tmp_path: Path):
    (tmp_path / "listeners.py").write_text(LISTENER)

    def run(settings: dict[str, str]) -> list[str]:
        path = os.pathsep.join(filter(None, [os.fspath(tmp_path), os.environ.get("PYTHONPATH")]))
        return python(PROGRAM, settings | {"PYTHONPATH": path}).stdout.splitlines()

    return run


def test_a_program_is_told_what_each_broker_took(broker, run):
    names = "listeners.broken, listeners.on_event"
    lines = run(broker | {"MAILQUEUE_EVENTS": names, "MAILQUEUE_BATCH_SIZE": "2"})
    told = [line.split() for line in lines[:3]]
    handles = [line.split() for line in lines[3:]]
    assert [line[0] for line in told] == ["enqueued"] * 3
    assert [line[1:3] for line in told] == [line[1:] for line in handles]
    assert [line[3] for line in told] == [f"reader{n}@example.com" for n in range(3)]


def test_nothing_is_told_of_what_no_broker_took(run):
    lines = run(
        {
            "MAILQUEUE_BROKER_URL": f"redis://127.0.0.1:{free_port()}/0",
            "MAILQUEUE_EVENTS": "listeners.on_event",
        }
    )
    assert lines == ["refused"]
