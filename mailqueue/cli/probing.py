"""Trying one way out as a worker would, without sending anything, for ``mailqueue check``."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from redis.exceptions import RedisError

from mailqueue import leases
from mailqueue.cli.findings import Finding
from mailqueue.errors import MailQueueError
from mailqueue.routing.arguments import DJANGOS, OURS
from mailqueue.routing.route import DEFAULT
from mailqueue.routing.ways import Way
from mailqueue.sending import get_connection
from mailqueue.settings import DEFAULTS, Settings

#: Seconds for which the connection counts as held, should this process die.
_LEASE: Final = 120.0
#: Arguments of backends that no report may show.
_SECRET: Final = re.compile(r"password|secret|token|key(?!file)")


def probe(way: Way, settings: Settings) -> Finding:
    """Log in, where the way out is SMTP; load the backend, where it is another."""
    is_smtp = way.backend in {OURS, DJANGOS}
    what = "SMTP" if is_smtp else "delivery"
    try:
        found = _log_in(way) if is_smtp else _load(way)
    except Exception as error:  # noqa: BLE001 - a backend may raise anything
        said = _without_secrets(f"{type(error).__name__}: {error}", way)
        return Finding(_level(way, settings), what, f"{way.name}: {said}", _remedy(way, settings))
    return Finding("ok", what, f"{way.name}: {found}")


def _log_in(way: Way) -> str:
    backend: Any = get_connection(way.backend, **way.arguments)
    with _one_of_its_connections(way) as allowed:
        if not allowed:
            return f"not tried, all {way.concurrency} connections are taken by workers"
        backend.open()
        try:
            backend.connection.ehlo_or_helo_if_needed()
            features = backend.connection.esmtp_features
        finally:
            backend.close()
    offered = " ".join(sorted(feature.upper() for feature in features))
    by_token = bool(way.arguments.get("oauth"))
    login = "no login"
    if backend.username and (backend.password or by_token):
        login = f"logged in as {backend.username}{' with a token' if by_token else ''}"
    return f"{backend.host}:{backend.port}, {login}, offers {offered or 'no extensions'}"


def _load(way: Way) -> str:
    get_connection(way.backend, **way.arguments)
    return way.backend


@contextmanager
def _one_of_its_connections(way: Way) -> Iterator[bool]:
    """Count among the route's connections: a server may refuse one too many, or punish it."""
    if way.concurrency is None:
        yield True
        return
    holder, held = f"check/{uuid.uuid4().hex}", True
    # Whether the state store answers is another line of the report.
    with suppress(MailQueueError, OSError, RedisError):
        held = leases.acquire(way.name, holder, way.concurrency, _LEASE)
    try:
        yield held
    finally:
        with suppress(MailQueueError, OSError, RedisError):
            leases.release(way.name, holder)


def _level(way: Way, settings: Settings) -> str:
    """Who has routes, and no server for ``default``, may well never use it."""
    routes = settings.MAILQUEUE_ROUTES
    unused = bool(routes) and way.name == DEFAULT and DEFAULT not in routes
    return "warn" if unused and settings.EMAIL_HOST == DEFAULTS.EMAIL_HOST else "FAIL"


def _remedy(way: Way, settings: Settings) -> str:
    if way.name in settings.MAILQUEUE_ROUTES:
        of = "host, port and login" if way.backend in {OURS, DJANGOS} else "backend and options"
        return f"check {of} of route {way.name}"
    if settings.MAILQUEUE_ROUTES:
        return "mail goes there of which nothing else is said; add a route default, or EMAIL_HOST"
    if way.backend in {OURS, DJANGOS}:
        return "check EMAIL_HOST, EMAIL_PORT and the login"
    return "correct MAILQUEUE_DELIVERY_BACKEND"


def _without_secrets(text: str, way: Way) -> str:
    for name, value in way.arguments.items():
        if isinstance(value, str) and value and _SECRET.search(name):
            text = text.replace(value, "***")
    return text
