"""Waiting for the state store: no ledger, no sending.

A worker that cannot ask what was sent, or cannot record it, does not guess. It waits, and its
batch stays unacknowledged meanwhile. What is called must be harmless to repeat: a reply that got
lost does not say whether the change was made.
"""

import logging
import time
from collections.abc import Callable
from typing import Final, TypeVar

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError

from worker import stopping

T = TypeVar("T")
logger = logging.getLogger("mailqueue.worker")

#: What passes by itself: restarting, loading, full, becoming a replica, cut off.
AWAY: Final = (RedisConnectionError, RedisTimeoutError, OutOfMemoryError, ReadOnlyError)
#: Seconds; below RabbitMQ's consumer timeout of 30 minutes, which would end the connection.
PATIENCE: Final = 1200.0
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0


def patiently(
    call: Callable[[], T],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Call until the state store answers.

    Raises its error after ``PATIENCE`` seconds, or when the worker has to end before.
    """
    began = clock()
    pause = _FIRST_PAUSE
    while True:
        try:
            result = call()
        except AWAY as error:
            waited = clock() - began
            if waited > PATIENCE or stopping.no_more_patience():
                raise
            if pause == _FIRST_PAUSE:
                logger.warning("the state store is away (%s); waiting for it", type(error).__name__)
            sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        else:
            if pause != _FIRST_PAUSE:
                logger.warning("the state store is back after %.1f s", clock() - began)
            return result
