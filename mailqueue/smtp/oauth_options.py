"""Whether an ``OAuth`` configuration can work, found out before anything is sent anywhere.

Tokens and secrets leave this machine encrypted only (RFC 6749, 3.2, and RFC 6750, 5.3).
"""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

import msgspec

from mailqueue.errors import ConfigurationError
from mailqueue.routing.route import OAuth


def checked(given: OAuth | dict[str, Any], *, username: str, host: str, encrypted: bool) -> OAuth:
    """Return the configuration, if a mail server can be logged in to with it.

    Args:
        given: What was configured.
        username: Whose account it is for.
        host: The mail server.
        encrypted: Whether the connection to it will be.

    Raises:
        ConfigurationError: It cannot; the text says what to write instead.
    """
    try:
        oauth = given if isinstance(given, OAuth) else msgspec.convert(given, OAuth)
        url = urlsplit(oauth.token_url)
        token_host, _ = url.hostname or "", url.port
    except ValueError as error:  # msgspec names fields, never their values; urlsplit may
        text = str(error) if isinstance(error, msgspec.ValidationError) else "token_url is no URL"
        raise ConfigurationError(f"oauth: {text}") from None
    is_safe = url.scheme == "https" or (url.scheme == "http" and is_loopback(token_host))
    if not token_host or not is_safe or url.username is not None or url.fragment:
        raise ConfigurationError(
            "oauth: token_url must be an https:// URL without user and fragment"
            " (http:// is for a loopback address only)"
        )
    if not oauth.token_url.isascii() or not oauth.token_url.isprintable() or " " in oauth.token_url:
        raise ConfigurationError("oauth: token_url holds characters that a URL cannot have")
    if not oauth.client_id:
        raise ConfigurationError("oauth: client_id is missing")
    if not oauth.refresh_token and not oauth.client_secret:
        raise ConfigurationError("oauth: set client_secret, or refresh_token, or both")
    if not username or not username.isprintable():
        raise ConfigurationError("oauth: set username to the account that the token is for")
    if not encrypted and not is_loopback(host):
        raise ConfigurationError(
            "oauth: set use_tls or use_ssl; whoever reads a token on its way can use it"
        )
    return oauth


def is_loopback(host: str) -> bool:
    """Whether a host is this very machine by its name alone; no DNS is asked."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
