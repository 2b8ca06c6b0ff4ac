"""``mailqueue check``: can this machine enqueue and deliver, and do the settings hold together?"""

import platform
import smtplib
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import version
from typing import Any, NamedTuple

import click
from rich.console import Console
from rich.table import Table

from mailqueue.conf import get_settings
from mailqueue.contradictions import contradictions
from mailqueue.errors import MailQueueError
from mailqueue.settings import Settings
from mailqueue.urls import broker_url, state_url, without_password

_SMTP_BACKEND = "mailqueue.backends.smtp.EmailBackend"
#: A store this full is near its bound.
_NEAR = 0.8
_STYLE = {"ok": "green", "warn": "yellow", "FAIL": "bold red"}


class Finding(NamedTuple):
    """One line of the report."""

    level: str
    what: str
    found: str
    remedy: str = ""


@click.command("check")
def command() -> None:
    """Check broker, state store, SMTP server, versions and settings; exits 1 if one fails."""
    settings = get_settings()
    table = Table(box=None, pad_edge=False)
    for column in ("", "what", "found", "remedy"):
        table.add_column(column, overflow="fold")
    failed = False
    for finding in findings(settings):
        failed = failed or finding.level == "FAIL"
        style = _STYLE[finding.level]
        table.add_row(f"[{style}]{finding.level}[/]", *map(_plain, finding[1:]))
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    sys.exit(1 if failed else 0)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


def findings(settings: Settings) -> Iterator[Finding]:
    """Everything that is looked at, in the order of a mail's way."""
    yield Finding("ok", "versions", _versions())
    for found in contradictions(settings):
        yield Finding("FAIL" if found.fatal else "warn", "settings", found.text, found.remedy)
    yield _tried("broker", lambda: _broker(settings), "start it, or correct MAILQUEUE_BROKER_URL")
    yield _tried("state store", lambda: _state(settings), "start it, or set MAILQUEUE_REDIS_URL")
    yield from _routes()
    yield _tried("failed store", lambda: _failed(settings), "see the state store")
    if settings.MAILQUEUE_DELIVERY_BACKEND == _SMTP_BACKEND:
        yield _tried("SMTP", lambda: _smtp(settings), "check EMAIL_HOST, EMAIL_PORT and the login")
    else:
        yield _tried("delivery", lambda: _backend(settings), "correct MAILQUEUE_DELIVERY_BACKEND")


def _tried(what: str, probe: Callable[[], Finding | str], remedy: str) -> Finding:
    from amqp.exceptions import AMQPError  # noqa: PLC0415 - Celery's weight, for check only
    from kombu.exceptions import KombuError  # noqa: PLC0415
    from redis.exceptions import RedisError  # noqa: PLC0415

    try:
        found = probe()
    except (MailQueueError, OSError, ValueError, AMQPError, KombuError, RedisError) as error:
        return Finding("FAIL", what, f"{type(error).__name__}: {error}", remedy)
    return found if isinstance(found, Finding) else Finding("ok", what, found)


def _versions() -> str:
    packages = ("mailqueue", "celery", "kombu", "redis")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{versions}, Python {platform.python_version()}"


def _broker(settings: Settings) -> str:
    from mailqueue.enqueuing import warm_up  # noqa: PLC0415 - Celery's weight, for check only

    warm_up()
    shown = without_password(broker_url(settings))
    return f"{shown}, queue {settings.MAILQUEUE_QUEUE}"


def _state(settings: Settings) -> Finding:
    from mailqueue.state import get_state  # noqa: PLC0415 - as above

    shown = without_password(state_url(settings))
    info: Any = get_state().info()
    found = f"{shown}, version {info.get('valkey_version') or info['redis_version']}"
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        return Finding(
            "warn", "state store", f"{found}, evicts ({policy})", "set maxmemory-policy noeviction"
        )
    if not info.get("aof_enabled"):
        return Finding("warn", "state store", f"{found}, forgets at a crash", "set appendonly yes")
    return Finding("ok", "state store", found)


def _routes() -> Iterator[Finding]:
    """Routes that are paused, each in words; whether they can be asked is the state's line."""
    from redis.exceptions import RedisError  # noqa: PLC0415 - as above

    from mailqueue import routes  # noqa: PLC0415
    from mailqueue.cli.words import pause_and_remedy  # noqa: PLC0415

    with suppress(MailQueueError, OSError, ValueError, RedisError):
        for name in routes.known():
            paused = routes.paused(name)
            if paused is not None:
                yield Finding("warn", "route", *pause_and_remedy(paused, routes.parked(name)))


def _failed(settings: Settings) -> Finding:
    from mailqueue.failed import count  # noqa: PLC0415 - as above

    kept, bound = count(), settings.MAILQUEUE_FAILED_MAX_COUNT
    if not kept:
        return Finding("ok", "failed store", "empty")
    entries = f"{kept:,} {'entry' if kept == 1 else 'entries'}"
    if kept >= _NEAR * bound:
        entries += f" of {bound:,} (MAILQUEUE_FAILED_MAX_COUNT), then the oldest make room"
    return Finding("warn", "failed store", entries, "look at them: mailqueue failed list")


def _backend(settings: Settings) -> str:
    from mailqueue.sending import get_connection  # noqa: PLC0415 - as above

    get_connection(settings.MAILQUEUE_DELIVERY_BACKEND)
    return settings.MAILQUEUE_DELIVERY_BACKEND


def _smtp(settings: Settings) -> str:
    """Log in as the worker would, and say what the server offers."""
    from mailqueue.sending import get_connection  # noqa: PLC0415 - as above

    backend: Any = get_connection(_SMTP_BACKEND)
    backend.open()
    try:
        server: smtplib.SMTP = backend.connection
        server.ehlo_or_helo_if_needed()
        offered = " ".join(sorted(feature.upper() for feature in server.esmtp_features))
    finally:
        backend.close()
    user = settings.EMAIL_HOST_USER
    login = f"logged in as {user}" if user and settings.EMAIL_HOST_PASSWORD else "no login"
    where = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
    return f"{where}, {login}, offers {offered or 'no extensions'}"
