"""``mailqueue health``: probes for whoever keeps workers running."""

import sys
from typing import Literal

import click

from mailqueue.health import WITHIN, probe


@click.command("health")
@click.argument("what", type=click.Choice(["live", "ready"]))
@click.option("--name", default="", help="Of this worker only: NAME@HOST, or NAME.")
@click.option("--pid", type=int, default=0, help="Of the worker with this process id only.")
@click.option(
    "--within",
    type=click.FloatRange(min=0, min_open=True),
    default=WITHIN,
    show_default=True,
    help="Seconds for which its main loop may stand still.",
)
def command(*, what: Literal["live", "ready"], name: str, pid: int, within: float) -> None:
    """Tell whether the workers of this machine (or container) are well.

    `live`: starting it anew would be of no use. `ready`: it takes mail from the queue. Exits 1
    where one of them is not, or there is none.
    """
    findings = probe(what, name=name, pid=pid, within=within)
    for finding in findings:
        click.echo(finding.text, err=not finding.is_well)
    if not all(finding.is_well for finding in findings):
        sys.exit(1)
