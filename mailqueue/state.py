"""The Redis that holds the state: one client a process, and the names of its keys."""

from functools import cache

import redis

from mailqueue.conf import get_settings
from mailqueue.urls import for_redis_client, state_url

#: Seconds; a state store that does not answer must not hold a worker for ever.
_CONNECT_TIMEOUT = 3.0
_TIMEOUT = 10.0


def get_state() -> redis.Redis:
    """The client of this process's state store. Safe in threads and after a fork.

    Raises ``ConfigurationError`` where no state store is configured.
    """
    return _client(for_redis_client(state_url(get_settings())))


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
