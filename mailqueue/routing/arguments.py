"""Which backend a route delivers with, and which arguments its class is given.

What the route says wins, then its preset, then the ``EMAIL_…`` settings, which backends look up
themselves: only what is set is passed on. Two things are never mixed from both: one kind of TLS
rules the other out, and a login belongs to its host. A route (but ``default``) with a host of its
own is never given the login of ``EMAIL_HOST``.
"""

from typing import Any, Final

from mailqueue.routing.presets import PRESETS, Preset
from mailqueue.routing.route import DEFAULT, Route
from mailqueue.settings import Settings

OURS: Final = "mailqueue.backends.smtp.EmailBackend"
DJANGOS: Final = "django.core.mail.backends.smtp.EmailBackend"
#: Backends that put mail into the queue: for sending, never for delivering.
QUEUES: Final = frozenset(
    {
        "mailqueue.backends.queue.EmailBackend",
        "mailqueue.contrib.django.EmailBackend",
        "mailqueue.contrib.django.backend.EmailBackend",
    }
)

#: Where servers expect TLS from the first byte (RFC 8314).
SMTPS_PORT: Final = 465
#: Arguments that say where the server is and how it is spoken to.
SERVER: Final = (
    "host", "port", "username", "password", "use_tls", "use_ssl", "timeout", "ssl_keyfile",
    "ssl_certfile", "oauth",
)  # fmt: skip


def backend_of(route: Route, settings: Settings) -> str:
    """Dotted path of the class."""
    return route.backend or settings.MAILQUEUE_DELIVERY_BACKEND


def preset_of(route: Route) -> Preset | None:
    """The preset; None where it has none, or one that does not exist."""
    return PRESETS.get(route.preset or "")


def arguments_of(route: Route, settings: Settings) -> dict[str, Any]:
    """The arguments for ``get_connection()``.

    A preset's server is for backends that speak SMTP; others get what the route says itself.
    """
    said = {name: value for name in SERVER if (value := getattr(route, name)) is not None}
    preset = preset_of(route)
    if backend_of(route, settings) in {OURS, DJANGOS}:
        if preset:
            said = _with_server(preset, said)
        for one, other in (("use_tls", "use_ssl"), ("use_ssl", "use_tls")):
            if said.get(one):
                said.setdefault(other, False)
        if "host" in said and route.name != DEFAULT:
            nobody = {"username": "", "password": "", "ssl_keyfile": "", "ssl_certfile": ""}
            said = nobody | said
    return said | route.options


def _with_server(preset: Preset, said: dict[str, Any]) -> dict[str, Any]:
    server: dict[str, Any] = {"port": preset.port}
    if preset.host:
        server["host"] = preset.host
    if not {"use_tls", "use_ssl"} & said.keys():
        from_first_byte = said.get("port") == SMTPS_PORT
        server |= {"use_tls": preset.use_tls and not from_first_byte, "use_ssl": from_first_byte}
    return server | said
