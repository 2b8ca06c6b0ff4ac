"""Routes: the named ways out, as they are configured (``MAILQUEUE_ROUTES``).

A route is a delivery backend with its settings, credentials and limits. ``default`` is made of the
``EMAIL_…`` settings unless it is configured itself. What a provider allows is a preset; what a
route says itself wins. Whether a route is open is ``routes.py``'s business.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

#: The route of mail for which nothing else was said; it always exists.
DEFAULT: Final = "default"
NAME: Final = r"^[A-Za-z0-9._-]{1,50}\Z"
Name = Annotated[str, Meta(pattern=NAME)]
Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class OAuth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a route gets its access token (RFC 6749) for SMTP's XOAUTH2.

    With ``refresh_token`` by that (section 6), else with the client's own credentials (4.4).
    """

    token_url: str
    client_id: str
    client_secret: str = ""
    refresh_token: str = ""
    scope: str = ""

    def __repr__(self) -> str:
        """Show where to, never with what secret."""
        return f"OAuth(token_url={self.token_url!r}, client_id={self.client_id!r})"


class DomainRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits for a recipient domain, or for a group of domains that share them."""

    #: ``gmail.com``, or ``*.outlook.com`` for a domain and all below it.
    domains: tuple[str, ...]
    limits: tuple[str, ...]


class Route(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way out. None means: as the preset says, else as the ``EMAIL_…`` setting says."""

    name: Name = DEFAULT
    preset: str | None = None
    backend: str | None = None
    host: str | None = None
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    username: str | None = None
    password: str | None = None
    use_tls: bool | None = None
    use_ssl: bool | None = None
    timeout: Seconds | None = None
    ssl_keyfile: str | None = None
    ssl_certfile: str | None = None
    oauth: OAuth | None = None
    #: Further arguments of the backend's class.
    options: dict[str, Any] = {}
    #: ``"14/s"``, ``"30/min"``, ``"50000/day"``, ``"10000 recipients/day"``; all of them hold.
    #: They replace the preset's; an empty list means none.
    limits: tuple[str, ...] | None = None
    #: Limits by group of recipient domains; the group's name is the key.
    domains: dict[Name, DomainRule] = {}
    #: Connections over all workers at the same time.
    concurrency: Positive | None = None
    #: Messages after which a connection is opened anew.
    messages_per_connection: Positive | None = None
    #: Seconds for which a connection may lie idle before it is not used any more.
    idle_seconds: Seconds | None = None
    #: Recipients that one message may have.
    recipients_per_message: Positive | None = None
    #: Bytes that one message may have, encoded.
    message_bytes: Positive | None = None
    #: Senders that take this route: an address, or ``@example.com``.
    senders: tuple[str, ...] = ()
    #: Routes that are taken, in this order, while this one is paused.
    failover: tuple[Name, ...] = ()
    #: Instead of a way of its own: routes to choose from, by weight.
    choose: dict[Name, Positive] = {}

    def __repr__(self) -> str:
        """Show what it is called and where it leads; options may hold keys."""
        return f"Route({self.name!r}, preset={self.preset!r}, host={self.host!r})"
