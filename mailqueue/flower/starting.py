"""Starting Flower at the queue's broker, with what makes it useful for mail, and safe.

Flower's options come from the environment (``FLOWER_…``), from its configuration file and from the
command line, as ever; here are other defaults, and what is refused.
"""

import ipaddress
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from mailqueue.broker import configuration, make_app
from mailqueue.conf import get_settings
from mailqueue.errors import ConfigurationError
from mailqueue.flower.wording import in_words

#: Without the task's name: there is one task, and what its batch is stands in ``args``.
_COLUMNS: Final = "state,args,result,received,runtime,worker,uuid"
#: Tasks that are kept in memory; Flower's own 100,000 cost some 500 MB.
_TASKS_KEPT: Final = 20_000


def start(arguments: Sequence[str]) -> None:
    """Run Flower until it is told to stop (SIGTERM, Ctrl-C).

    Args:
        arguments: Flower's own options, ``--port=5556`` for example.

    Raises:
        ConfigurationError: Flower is not installed; an option is none of Flower's; or everybody
            could open it (an address that others reach, without a login).
        click.UsageError: An argument is no option of Flower's.
    """
    try:
        from flower import command  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra
        from flower.options import options  # type: ignore[import-untyped]  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            f"Flower is not installed ({error}); run: pip install 'mailqueue[flower]'"
        ) from error
    from celery.bin.base import CLIContext  # noqa: PLC0415 - with Flower alone
    from celery.bin.celery import celery  # noqa: PLC0415

    _refuse_unknown(arguments, command.is_flower_option)
    options.address = "127.0.0.1"
    options.max_tasks = _TASKS_KEPT
    options.tasks_columns = _COLUMNS
    options.format_task = in_words
    # Flower's command does this once more; what it comes to is needed before.
    command.apply_env_options()
    command.apply_options(sys.argv[0], list(arguments))
    _refuse_open_doors(options)
    # Not by ``app.start()``: there, the environment's APP would name another application.
    parent = click.Context(
        celery, obj=CLIContext(app=_app(), no_color=True, workdir=None, quiet=False)
    )
    with command.flower.make_context("flower", list(arguments), parent=parent) as context:
        command.flower.invoke(context)


def _app() -> Any:
    """The queue's application, for somebody who watches and takes nothing."""
    settings = get_settings()
    conf = configuration(settings)
    if "unacked_key" in conf["broker_transport_options"]:
        # Kombu's own transport would look after workers' unacknowledged batches in passing. That
        # is for workers to do, who know how; so Flower gets a book of its own, which stays empty.
        conf["broker_transport_options"] |= {
            "unacked_key": f"{settings.MAILQUEUE_QUEUE}:flower:unacked",
            "unacked_index_key": f"{settings.MAILQUEUE_QUEUE}:flower:unacked_index",
        }
    return make_app(conf)


def _refuse_unknown(arguments: Sequence[str], known: Any) -> None:
    """Flower ignores what it does not know; a misspelt ``--basic-auth`` should not pass."""
    for argument in arguments:
        if not argument.startswith("--") or not known(argument):
            raise click.UsageError(
                f"{argument.partition('=')[0]!r} is no option of Flower's; they are written "
                "--name=value"
            )


def _refuse_open_doors(options: Any) -> None:
    """Who reaches Flower can stop workers and revoke mail: not without a login."""
    for login in options.basic_auth or ():
        # An empty variable is what a Compose file makes of one that is not set; Flower would take
        # it for a login without name and password.
        user, _, password = login.partition(":")
        if not user or not password:
            raise ConfigurationError(
                "FLOWER_BASIC_AUTH (--basic-auth) is not of the form user:password; set it, or "
                "leave it out together with FLOWER_ADDRESS to keep Flower on this machine"
            )
    if options.unix_socket or options.basic_auth or options.auth or _is_local(options.address):
        return
    raise ConfigurationError(
        f"Flower would be open to everybody who reaches {options.address or 'this machine'}; set "
        "FLOWER_BASIC_AUTH=user:password, or FLOWER_AUTH with OAuth, or keep FLOWER_ADDRESS at "
        "127.0.0.1"
    )


def _is_local(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
