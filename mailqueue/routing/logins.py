"""What keeps a route from delivering: no host, no login, two kinds of TLS, no backend.

A producer need not be able to deliver, so it is not asked about these.
"""

from collections.abc import Iterator
from typing import Any

from mailqueue.errors import ConfigurationError
from mailqueue.loading import load
from mailqueue.routing.arguments import DJANGOS, OURS, QUEUES, arguments_of, backend_of, preset_of
from mailqueue.routing.problems import Problem, at
from mailqueue.routing.route import DEFAULT, Route
from mailqueue.settings import DEFAULTS, Settings


def delivery_problems(settings: Settings) -> Iterator[Problem]:
    """What a worker has to know."""
    for route in settings.MAILQUEUE_ROUTES.values():
        if route.choose:
            continue
        yield from _backend(route)
        if backend_of(route, settings) in {OURS, DJANGOS}:
            yield from _server(route, settings)
            yield from _login(route, settings)


def _backend(route: Route) -> Iterator[Problem]:
    if route.backend is None:
        return
    if route.backend in QUEUES:
        yield Problem(
            f"{at(route, 'backend')} is the queue itself: mail would go round in circles",
            f"set it to a backend that sends, such as {OURS}",
        )
        return
    try:
        load(route.backend, at(route, "backend"), f"a backend's class, like {OURS!r}")
    except ConfigurationError as error:
        text, _, remedy = str(error).rpartition("; ")
        yield Problem(text, remedy)


def _effective(route: Route, settings: Settings) -> dict[str, Any]:
    """Arguments, filled up as an SMTP backend does."""
    return {
        "host": settings.EMAIL_HOST,
        "username": settings.EMAIL_HOST_USER,
        "password": settings.EMAIL_HOST_PASSWORD,
        "use_tls": settings.EMAIL_USE_TLS,
        "use_ssl": settings.EMAIL_USE_SSL,
        "ssl_keyfile": settings.EMAIL_SSL_KEYFILE,
        "ssl_certfile": settings.EMAIL_SSL_CERTFILE,
        "oauth": None,
    } | arguments_of(route, settings)


def _server(route: Route, settings: Settings) -> Iterator[Problem]:
    found = _effective(route, settings)
    preset = preset_of(route)
    is_set = route.host is not None or (
        route.name == DEFAULT and settings.EMAIL_HOST != DEFAULTS.EMAIL_HOST
    )
    if preset and not preset.host and not is_set:
        yield Problem(
            f"{at(route, 'host')} is missing; for preset {route.preset!r} it differs by region",
            "set the route's host, such as email-smtp.eu-central-1.amazonaws.com",
        )
    if found["use_tls"] and found["use_ssl"]:
        yield Problem(
            f"{at(route, 'use_tls')} and use_ssl are both on",
            "keep use_ssl for port 465, use_tls for any other",
        )
    if found["ssl_keyfile"] and not found["ssl_certfile"]:
        yield Problem(
            f"{at(route, 'ssl_keyfile')} is set without the certificate that it belongs to",
            "set ssl_certfile",
        )


def _login(route: Route, settings: Settings) -> Iterator[Problem]:
    found = _effective(route, settings)
    preset = preset_of(route)
    user, password, oauth = found["username"], found["password"], found["oauth"]
    if oauth and backend_of(route, settings) == DJANGOS:
        yield Problem(f"{at(route, 'oauth')}: Django's backend cannot use it", f"take {OURS}")
    if oauth and not user:
        yield Problem(
            f"{at(route, 'oauth')} is set without the user whose token it gets",
            "set username, the mailbox's address",
        )
    elif user and not (password or oauth):
        yield Problem(
            f"{at(route, 'username')} is set without a password", "set password or oauth, or none"
        )
    elif password and not user:
        yield Problem(
            f"{at(route, 'password')} is set without a user", "set username, or leave both out"
        )
    elif preset and preset.login and not user:
        yield Problem(
            f"{at(route, 'username')} is missing: preset {route.preset!r} needs a login",
            "set username, and password or oauth",
        )
