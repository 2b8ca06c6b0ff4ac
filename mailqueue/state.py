"""The Redis that holds the state: one client a process, and the names of its keys."""

from functools import cache

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from mailqueue.conf import get_settings
from mailqueue.urls import for_redis_client, state_url

#: Seconds; a state store that does not answer must not hold a worker for ever.
_CONNECT_TIMEOUT = 3.0
_TIMEOUT = 10.0
_HASTY_TIMEOUT = 2.0


def get_state() -> redis.Redis:
    """The client of this process's state store. Safe in threads and after a fork.

    Raises ``ConfigurationError`` where no state store is configured.
    """
    return _client(for_redis_client(state_url(get_settings())))


def hasty_state() -> redis.Redis:
    """A client for those who only look, and would rather know soon that nobody answers.

    Two seconds to connect and two for an answer, and no second try. Raises as ``get_state()``.
    """
    return _hasty_client(for_redis_client(state_url(get_settings())))


@cache
def _hasty_client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=_HASTY_TIMEOUT,
        socket_timeout=_HASTY_TIMEOUT,
        retry=Retry(NoBackoff(), 0),
    )


@cache
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=_CONNECT_TIMEOUT,
        socket_timeout=_TIMEOUT,
        health_check_interval=10,
    )


def key(*parts: str) -> str:
    """A key of this queue: ``mailqueue:failed`` …; several queues may share a database."""
    return ":".join((get_settings().MAILQUEUE_QUEUE, *parts))
