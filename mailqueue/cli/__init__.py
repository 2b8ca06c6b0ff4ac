"""The command line: ``mailqueue send | worker | check | demo``.

Exit codes: 0 done, 1 failed, 2 wrong usage. An error that mailqueue raises on purpose is shown as
its sentence, not as a traceback.
"""

import sys
from typing import Any

import click

from mailqueue.errors import MailQueueError


class _Sentences(click.Group):
    """Shows our errors as one sentence on stderr and exits with 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MailQueueError as error:
            click.echo(f"mailqueue: {error}", err=True)
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


_COMMANDS = ("send", "worker", "check", "demo")


@click.group(cls=_Sentences, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mailqueue")
def main() -> None:
    """Send email in the background: into a queue, and out by workers."""
