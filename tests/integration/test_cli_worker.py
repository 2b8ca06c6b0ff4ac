"""A worker that cannot start says why in a sentence, whichever way it was started."""

import subprocess
import sys

import pytest
from support.processes import environment

COMMANDS = {
    "mailqueue": ["-m", "mailqueue", "worker"],
    "celery": ["-m", "celery", "-A", "worker", "worker"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"MAILQUEUE_BROKER_URL": "kafka://:secret@x"}, "MAILQUEUE_BROKER_URL begins with 'kafka'"),
        ({"MAILQUEUE_BROKER_URL": "amqp://:secret@x"}, "set MAILQUEUE_REDIS_URL"),
        ({"MAILQUEUE_BATCH_SIZE": "many"}, "MAILQUEUE_BATCH_SIZE in the environment"),
        ({"EMAIL_USE_TLS": "1", "EMAIL_USE_SSL": "1"}, "EMAIL_USE_TLS and EMAIL_USE_SSL"),
    ],
)
def test_wrong_settings_are_told_in_a_sentence(command, settings, words):
    done = subprocess.run(
        [sys.executable, *COMMANDS[command]],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
