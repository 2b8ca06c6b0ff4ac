"""Which broker and which state store: from settings to URLs that can be connected to."""

import re
from typing import Final
from urllib.parse import parse_qsl, urlencode

from mailqueue.errors import ConfigurationError
from mailqueue.settings import Settings

REDIS_SCHEMES: Final = frozenset({"redis", "rediss", "redis+socket"})
AMQP_SCHEMES: Final = frozenset({"amqp", "amqps"})
EMBEDDED: Final = "embedded"
_BROKERS: Final = "redis://, rediss://, redis+socket://, amqp://, amqps:// or embedded://"
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_SECRET_OPTION: Final = re.compile(
    r"([?&][^=&]*(?:pass|user|secret|token)[^=&]*=)[^&]*", re.IGNORECASE
)
_STORES: Final = "redis://, rediss://, redis+socket:// or embedded://"


def broker_url(settings: Settings) -> str:
    """The broker's URL; starts the embedded Redis where that is the broker.

    Raises ``ConfigurationError`` for a scheme that mailqueue does not speak, and
    ``EmbeddedError`` where the embedded Redis cannot run.
    """
    url = settings.MAILQUEUE_BROKER_URL
    if url is None:
        # Never a guess at what may answer on some port: a mail could end in a stranger's queue.
        url = settings.MAILQUEUE_REDIS_URL or f"{EMBEDDED}://"
    _require("MAILQUEUE_BROKER_URL", url, REDIS_SCHEMES | AMQP_SCHEMES, _BROKERS)
    return _started(url)


def state_url(settings: Settings) -> str:
    """The state store's URL: ``MAILQUEUE_REDIS_URL``, else the broker's when that is a Redis.

    Raises ``ConfigurationError`` when the broker is RabbitMQ and no Redis is named.
    """
    url = settings.MAILQUEUE_REDIS_URL
    if url is None:
        url = broker_url(settings)
        if scheme(url) in AMQP_SCHEMES:
            raise ConfigurationError(
                "MAILQUEUE_BROKER_URL is RabbitMQ, and MAILQUEUE_REDIS_URL, which holds the "
                "state, is not set; set it to a Redis that all workers share (redis://…), or to "
                "embedded:// while everything runs on one machine"
            )
    _require("MAILQUEUE_REDIS_URL", url, REDIS_SCHEMES, _STORES)
    return _started(url)


def scheme(url: str) -> str:
    """The part before ``://``, in lower case; empty where there is none."""
    name, separator, _ = url.partition("://")
    return name.lower() if separator and _SCHEME.fullmatch(name) else ""


def _require(setting: str, url: str, schemes: frozenset[str], known: str) -> None:
    if scheme(url) not in schemes | {EMBEDDED}:
        # The URL may hold a password: only its scheme is repeated.
        raise ConfigurationError(
            f"{setting} begins with {scheme(url) or 'no scheme'!r}; use {known}"
        )


def _started(url: str) -> str:
    if scheme(url) != EMBEDDED:
        return url
    # Imported here: whoever has a broker needs neither the module nor its extra.
    from mailqueue.embedded import url_for  # noqa: PLC0415

    return url_for(url)


def for_redis_client(url: str) -> str:
    """Kombu's ``redis+socket:///path?virtual_host=1`` in redis-py's words: ``unix:///path?db=1``."""
    if scheme(url) != "redis+socket":
        return url
    path, _, query = url.partition("://")[2].partition("?")
    options = [("db" if k == "virtual_host" else k, v) for k, v in parse_qsl(query)]
    # Not by urlunsplit(), which makes ``unix:/path`` of it.
    return f"unix://{path}" + (f"?{urlencode(options)}" if options else "")


def without_password(url: str) -> str:
    """The URL as it may be shown: user and password replaced.

    Not by ``urlsplit()``: it takes a password with a bare ``/`` or ``#`` for a path, and quotes
    others in its errors. So everything up to the last ``@`` goes, whatever it looks like.
    """
    prefix = f"{url.partition('://')[0]}://" if scheme(url) else ""
    rest = _SECRET_OPTION.sub(r"\1***", url.removeprefix(prefix))
    local_path = scheme(url) in {EMBEDDED, "redis+socket"} and rest.startswith("/")
    if "@" in rest and not local_path:
        rest = f"***@{rest.rpartition('@')[2]}"
    return prefix + rest
