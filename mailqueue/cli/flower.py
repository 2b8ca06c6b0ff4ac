"""``mailqueue flower``: Flower at the queue's broker, with Flower's own options."""

import click


@click.command("flower", context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def command(options: tuple[str, ...]) -> None:
    """Watch workers and batches in the browser, by Flower: http://127.0.0.1:5555.

    Takes Flower's options, among them --port=5556, --url-prefix=/flower, --read-only and
    --persistent; each can stand in the environment as well (FLOWER_PORT=5556). With an --address
    that others reach, a login is needed: FLOWER_BASIC_AUTH=user:password.
    """
    # Imported here: --help needs neither Celery nor Flower.
    from mailqueue.flower.starting import start  # noqa: PLC0415

    start(options)
