"""``mailqueue worker``: a worker, with Celery's own worker options."""

import sys
from importlib.metadata import entry_points

import click

from mailqueue.errors import ConfigurationError


@click.command(
    "worker",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    add_help_option=False,
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def command(options: tuple[str, ...]) -> None:
    """Deliver mail from the queue until told to stop (SIGTERM, Ctrl-C).

    Takes Celery's worker options, among them --pool, --concurrency, -n, -Q and --loglevel;
    `mailqueue worker --help` lists them all.
    """
    found = list(entry_points(group="mailqueue.worker", name="default"))
    if not found:
        raise ConfigurationError(
            "mailqueue is not installed as a package here, so its worker cannot be found; "
            "run `pip install mailqueue` (or `pip install -e .` in a checkout)"
        )
    # By entry point: the library does not import the worker that is built on it.
    try:
        run = found[0].load()
    except ModuleNotFoundError as error:
        if error.name not in {"worker", "worker.app"}:
            raise
        # `flask` and `manage.py` put the working directory first on the path.
        raise ConfigurationError(
            "a module named 'worker' of your project hides the one that delivers; rename it, or "
            "run `mailqueue worker`, with the settings in the environment"
        ) from None
    sys.exit(run(options))
