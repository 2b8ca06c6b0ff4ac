"""From batches to the broker: bounded in time, safe in threads and in forked children.

One ``Publisher`` serves a process. A connection is taken from a small pool for all batches of a
call. Each step on it (connecting, writing, the broker's confirmation) has a share of
``MAILQUEUE_ENQUEUE_TIMEOUT`` as its own limit, so a broker that is down, refuses, or swallows
packets ends in ``EnqueueError`` within the whole of it:

    waiting for a free connection  25 %
    connecting                     30 %
    publishing, with confirmation  30 %

A connection that lay idle may have died unseen. A batch that fails on one is tried once more on a
new one, under the same ids, if the time left allows it.
"""

import os
import time
from collections.abc import Sequence
from typing import Any, Final

from amqp.exceptions import AMQPError
from celery import Celery
from kombu import Connection
from kombu.exceptions import KombuError, LimitExceeded
from redis.exceptions import RedisError

from mailqueue.batch import Encoded, describe
from mailqueue.broker import DELIVER, configuration, make_app, queue_names
from mailqueue.conf import get_settings
from mailqueue.errors import EnqueueError
from mailqueue.settings import Settings
from mailqueue.urls import AMQP_SCHEMES, broker_url, scheme, without_password

_TROUBLE: Final = (OSError, KombuError, AMQPError, RedisError)
_POOL_SIZE: Final = 10


class Publisher:
    """Publishes batches to one broker. Threads may share it; a forked child must not.

    Args:
        settings: Broker, queue and time-out are taken from here.
    """

    def __init__(self, settings: Settings) -> None:
        self._timeout = settings.MAILQUEUE_ENQUEUE_TIMEOUT
        self._step = 0.3 * self._timeout
        conf = configuration(settings)
        self._shown_url = without_password(conf["broker_url"])
        conf["broker_transport_options"] |= self._limits(conf["broker_url"])
        conf["broker_connection_timeout"] = self._step
        # A web process may be idle for hours and does not answer heartbeats meanwhile.
        conf["broker_heartbeat"] = 0
        self._queues = queue_names(settings)
        self._app: Celery = make_app(conf)
        self._connections = self._app.connection_for_write(heartbeat=0).Pool(_POOL_SIZE)

    def _limits(self, url: str) -> dict[str, Any]:
        step = self._step
        if scheme(url) in AMQP_SCHEMES:
            # Without confirmation, publishing into a black hole looks like success.
            return {"confirm_publish": True, "read_timeout": step, "write_timeout": step}
        return {
            "socket_connect_timeout": step,
            "socket_timeout": step,
            # Repeating a push that timed out could queue the batch twice.
            "retry_on_timeout": False,
        }

    def publish(self, batches: Sequence[Sequence[Encoded]]) -> None:
        """Publish each batch as one task, in the queue of its first mail's priority.

        Raises ``EnqueueError``, which says what of it the broker took, when it does not answer.
        """
        done = 0
        retried = False
        while done < len(batches):
            started = time.monotonic()
            connection, fresh = self._acquire(batches, done)
            progress = done
            try:
                self._connect(connection)
                with self._app.amqp.Producer(connection, auto_declare=False) as producer:
                    while done < len(batches):
                        self._send(producer, batches[done])
                        done += 1
                        started = time.monotonic()
                connection.release()
            except _TROUBLE as error:
                self._connections.replace(connection)
                left = self._timeout - (time.monotonic() - started)
                idle_died = not fresh or done > progress
                if retried or not idle_died or left < 2 * self._step:
                    raise self._failed(error, batches, done) from error
                retried = True
            except BaseException:
                self._connections.replace(connection)
                raise

    def _acquire(self, batches: Sequence[Sequence[Encoded]], done: int) -> tuple[Any, bool]:
        try:
            connection = self._connections.acquire(block=True, timeout=0.25 * self._timeout)
        except LimitExceeded as error:
            raise self._failed(
                f"all {_POOL_SIZE} connections of this process are busy", batches, done
            ) from error
        return connection, not connection.connected

    def _connect(self, connection: Connection) -> None:
        """Connect in one attempt: kombu would otherwise wait two seconds before another."""
        if not connection.connected:
            connection._ensure_connection(max_retries=0)  # noqa: SLF001 - no public way to say 0

    def _send(self, producer: Any, batch: Sequence[Encoded]) -> None:
        size = sum(len(envelope.data) for envelope in batch)
        self._app.send_task(
            DELIVER,
            args=([envelope.data for envelope in batch],),
            queue=self._queues[batch[0].priority],
            producer=producer,
            retry=False,
            confirm_timeout=self._step,
            # Celery's default repr would copy message content into headers, logs and Flower.
            argsrepr=describe([envelope.id for envelope in batch], size),
            kwargsrepr="{}",
        )

    def _failed(self, why: object, batches: Sequence[Sequence[Encoded]], done: int) -> EnqueueError:
        reason = str(why) or type(why).__name__
        return EnqueueError(
            f"{self._shown_url} did not take the mail within {self._timeout:g} s "
            f"(MAILQUEUE_ENQUEUE_TIMEOUT): {reason}",
            enqueued=tuple(e.id for batch in batches[:done] for e in batch),
            not_enqueued=tuple(e.id for batch in batches[done:] for e in batch),
        )

    def warm(self) -> None:
        """Connect now and prepare what the first publish would, so that it costs no 60 ms.

        Raises ``EnqueueError`` as ``publish`` does.
        """
        connection, _ = self._acquire((), 0)
        try:
            self._connect(connection)
            with self._app.amqp.Producer(connection, auto_declare=False) as producer:
                for queue in self._queues.values():
                    producer.maybe_declare(self._app.amqp.queues[queue])
            connection.release()
        except _TROUBLE as error:
            self._connections.replace(connection)
            raise self._failed(error, (), 0) from error


_publishers: dict[tuple[object, ...], Publisher] = {}
_inherited: list[dict[tuple[object, ...], Publisher]] = []


def get_publisher() -> Publisher:
    """This process's publisher for the settings that hold now."""
    settings = get_settings()
    key = (
        broker_url(settings),
        settings.MAILQUEUE_QUEUE,
        settings.MAILQUEUE_ENQUEUE_TIMEOUT,
        settings.MAILQUEUE_VISIBILITY_TIMEOUT,
    )
    publisher = _publishers.get(key)
    if publisher is None:
        # Two threads may both build one here; the second is kept, the first only served once.
        publisher = _publishers[key] = Publisher(settings)
    return publisher


def _forget_after_fork() -> None:
    """A forked child gets connections of its own.

    The parent's are neither used nor closed here (closing would say goodbye on the parent's
    socket), only kept from the garbage collector, which would close them too.
    """
    global _publishers  # noqa: PLW0603 - the process's publishers
    _inherited.append(_publishers)
    _publishers = {}


os.register_at_fork(after_in_child=_forget_after_fork)
