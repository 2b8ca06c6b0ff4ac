"""``mailqueue demo``: see mail go the whole way, with nothing installed beside mailqueue."""

import sys
from pathlib import Path

import click

from mailqueue.errors import ConfigurationError


@click.command("demo")
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-mail"),
    show_default=True,
    help="Where the received mail goes.",
)
def command(directory: Path) -> None:
    """Start Redis, a worker and an SMTP server, send 205 mails, and compare what arrives."""
    try:
        from mailqueue.demo.run import run  # noqa: PLC0415 - needs an extra
    except ImportError as error:
        raise ConfigurationError(
            f"the demo needs {error.name}: pip install 'mailqueue[demo]'"
        ) from error
    sys.exit(run(directory))
