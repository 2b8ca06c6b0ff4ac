"""The Celery application: the library's configuration and what only a worker needs."""

import os
from collections.abc import Sequence
from typing import Any

import click
from celery.bin.celery import celery as command_line
from kombu.transport import TRANSPORT_ALIASES

from mailqueue.application import Application
from mailqueue.errors import MailQueueError
from mailqueue.frameworks import load_django
from worker.config import configuration
from worker.endpoint import EndpointStep
from worker.health import ConsumingStep, HealthStep
from worker.poller import PollerStep
from worker.priorities import WaitingRoomStep

# Every way to name a Redis broker leads to our transport; this process belongs to the worker.
TRANSPORT_ALIASES["redis"] = TRANSPORT_ALIASES["rediss"] = "worker.transport:Transport"

app = Application("mailqueue", include=["worker.tasks"])


def _configuration_or_sentence() -> dict[str, Any]:
    """Let Celery's command line show what is wrong with a setting as it shows its own errors."""
    try:
        load_django()
        return configuration()
    except MailQueueError as error:
        raise click.ClickException(str(error)) from error


app.add_defaults(_configuration_or_sentence)
app.steps["worker"].update({WaitingRoomStep, PollerStep, HealthStep, EndpointStep})
app.steps["consumer"].add(ConsumingStep)


def main(arguments: Sequence[str]) -> None:
    """Run a worker with Celery's own worker options; returns when it was told to stop.

    The application is handed over as an object: nothing is looked up by name, so a ``worker.py``
    in the working directory cannot take its place.
    """
    # Nor by APP, BROKER_URL, CONFIG_MODULE and the like in the environment.
    for option in command_line.params:
        option.envvar = None
    # Workers have nothing to tell each other: the state store is where they meet. Mingle would cost
    # a second at each start, and ten after a broken line.
    app.worker_main(["worker", *_named(arguments), "--without-gossip", "--without-mingle"])


def _named(arguments: Sequence[str]) -> list[str]:
    """Give the worker a name of its own where the caller gave it none.

    Celery calls every worker of a host ``celery``. Two of one name take each other's remote control
    queue, which RabbitMQ answers by refusing the second.
    """
    if any(a.startswith(("-n", "--hostname")) for a in arguments):
        return list(arguments)
    return [*arguments, "--hostname", f"mailqueue-{os.getpid()}@%h"]
