"""``mailqueue check``: can this machine enqueue and deliver, and do the settings hold together?"""

import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import version
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from mailqueue.cli.findings import Finding
from mailqueue.conf import get_settings
from mailqueue.contradictions import contradictions
from mailqueue.errors import MailQueueError
from mailqueue.settings import Settings
from mailqueue.urls import broker_url, state_url, without_password

#: A store this full is near its bound.
_NEAR = 0.8
#: Ways out that are tried at the same time.
_AT_ONCE = 8
_STYLE = {"ok": "green", "warn": "yellow", "FAIL": "bold red"}


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
    yield from _deliveries(settings)


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
    """Routes whose mail waits, each in words; whether they can be asked is the state's line."""
    from redis.exceptions import RedisError  # noqa: PLC0415 - as above

    from mailqueue.cli import words  # noqa: PLC0415
    from mailqueue.desk.route_state import every_route, state_of  # noqa: PLC0415
    from mailqueue.limits import QUOTA_FROM  # noqa: PLC0415

    with suppress(MailQueueError, OSError, ValueError, RedisError):
        for name in every_route():
            route = state_of(name)
            if route.paused is not None:
                yield Finding("warn", "route", *words.pause_and_remedy(route.paused, route.parked))
                continue
            for line in route.lines:
                if line.parked:
                    text = f"{line.name}: {words.waits_for(route, line)}"
                    full = [one.limit for one in route.limits_of(line) if not one.remaining]
                    used_up = any(limit.per_seconds >= QUOTA_FROM for limit in full)
                    # Held back by a pace is how it should be.
                    level = "warn" if used_up or route.way is None else "ok"
                    remedy = "see mailqueue routes list" if level == "warn" else ""
                    waits = words.mails_wait(line.parked)
                    yield Finding(level, "route", f"{text}, {waits}", remedy)


def _failed(settings: Settings) -> Finding:
    from mailqueue.failed import count  # noqa: PLC0415 - as above

    kept, bound = count(), settings.MAILQUEUE_FAILED_MAX_COUNT
    if not kept:
        return Finding("ok", "failed store", "empty")
    entries = f"{kept:,} {'entry' if kept == 1 else 'entries'}"
    if kept >= _NEAR * bound:
        entries += f" of {bound:,} (MAILQUEUE_FAILED_MAX_COUNT), then the oldest make room"
    return Finding("warn", "failed store", entries, "look at them: mailqueue failed list")


def _deliveries(settings: Settings) -> Iterator[Finding]:
    """Each way out, tried at the same time: one that is silent takes its whole timeout."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - as above

    from mailqueue.cli.probing import probe  # noqa: PLC0415
    from mailqueue.routing.ways import ways  # noqa: PLC0415

    try:
        found = [way for way in ways(settings).values() if not way.choose]
    except MailQueueError:
        yield Finding("warn", "delivery", "not tried: the routes are wrong", "correct them first")
        return
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(lambda way: probe(way, settings), found)
