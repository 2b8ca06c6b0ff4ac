"""The command line: ``mailqueue send | worker | status | stats | failed | …``.

Exit codes: 0 done, 1 failed, 2 wrong usage. An error that mailqueue raises on purpose is shown as
its sentence, not as a traceback; so is a state store that does not answer.
"""

import sys
from typing import Any

import click

from mailqueue.errors import MailQueueError
from mailqueue.frameworks import load_django


class _Sentences(click.Group):
    """Shows our errors as one sentence on stderr and exits with 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MailQueueError as error:
            click.echo(f"mailqueue: {error}", err=True)
            sys.exit(1)
        except Exception as error:
            sentence = _about_the_state_store(error)
            if not sentence:
                raise
            click.echo(f"mailqueue: {sentence}", err=True)
            sys.exit(1)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command's module when it is asked for: ``send`` needs nothing of ``demo``."""
        if cmd_name not in _COMMANDS:
            return None
        module = __import__(f"mailqueue.cli.{cmd_name}", fromlist=["command"])
        command: click.Command = module.command
        return command

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)


_COMMANDS = (
    "send", "worker", "status", "stats", "failed", "scheduled", "routes", "check", "health",
    "flower", "demo",
)  # fmt: skip


def _about_the_state_store(error: Exception) -> str:
    """What to say about an error of the state store; empty where it is none."""
    # Imported here: redis-py for those only who met its errors.
    from redis.exceptions import RedisError  # noqa: PLC0415

    from mailqueue.conf import get_settings  # noqa: PLC0415
    from mailqueue.urls import without_password  # noqa: PLC0415

    if not isinstance(error, RedisError):
        return ""
    settings = get_settings()
    url, unset = settings.MAILQUEUE_REDIS_URL, ""
    if url is None:
        url, unset = settings.MAILQUEUE_BROKER_URL, ", which is unset: the broker's"
    said = " ".join(str(error).split()) or type(error).__name__
    return (
        f"the state store at {without_password(url or 'embedded://')} (MAILQUEUE_REDIS_URL{unset}) "
        f"does not do it: {said}"
    )


@click.group(cls=_Sentences, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mailqueue")
def main() -> None:
    """Send email in the background: into a queue, and out by workers."""
    load_django()
