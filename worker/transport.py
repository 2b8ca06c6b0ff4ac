"""kombu's Redis transport, made not to lose a message: neither to a kill nor to what is none.

- ``channel.py`` takes messages, ``qos.py`` keeps the book of what is not acknowledged;
- ``lua/`` has the steps that must not be divided;
- ``reading.py`` tells a message from what else was pushed onto the list.
"""

import logging
from threading import Event, Thread
from typing import Any

from billiard import active_children
from kombu.transport import redis
from redis.exceptions import ResponseError

from mailqueue.errors import ConfigurationError
from worker.channel import Channel

_Base: Any = redis.Transport  # its stubs lack most of it

logger = logging.getLogger("mailqueue.worker")


class Transport(_Base):  # type: ignore[misc]  # see _Base
    """A transport whose workers renew the leases of what they have."""

    Channel = Channel
    _lease_timer: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._closed = Event()

    def establish_connection(self) -> Any:
        """Connect, and check that this Redis can do what is needed.

        Raises:
            ConfigurationError: It is older than 6.2.
        """
        connection = super().establish_connection()
        runner = self._avail_channels[-1].runner
        try:
            known = runner.execute_command("COMMAND INFO", "BLMOVE")
        except ResponseError:
            return connection  # not allowed to ask; the first wait will tell
        if known == [None]:
            raise ConfigurationError(
                "the broker is a Redis without BLMOVE: Redis 6.2 or newer (or Valkey) is needed; "
                "upgrade it, or set MAILQUEUE_BROKER_URL to another"
            )
        return connection

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Let the worker's event loop poll, and renew leases four times in their length.

        With a pool of processes the loop does that too, until the last task is done. Other pools
        make it stand still: solo while a task runs, threads while the worker ends. There a thread
        does it, which in turn has no place in a process that forks.
        """
        # First of all: after an outage, kombu's first act would be to give our own tasks away.
        self.renew_leases()
        super().register_with_event_loop(connection, loop)
        options = connection.client.transport_options
        seconds = options.get("visibility_timeout", Channel.visibility_timeout) / 4
        if self._lease_timer is not None:
            self._lease_timer.cancel()
        if active_children():
            self._lease_timer = loop.call_repeatedly(seconds, self.renew_leases)
        else:
            Thread(target=self._renew_beside, args=(seconds,), name="leases", daemon=True).start()

    def close_connection(self, connection: Any) -> None:
        """Close all channels."""
        self._closed.set()
        super().close_connection(connection)

    def _renew_beside(self, seconds: float) -> None:
        while not self._closed.wait(seconds):
            try:
                self.renew_leases()
            except Exception:
                # What the main thread changed meanwhile, say. The next time may do it.
                logger.debug("leases not renewed", exc_info=True)

    def renew_leases(self) -> None:
        """Renew the leases of this process. Trouble ends nothing: the next time may do it."""
        channel = next((channel for channel in self.channels if not channel.closed), None)
        if channel is None:
            return
        try:
            channel.qos.renew_leases()
        except self.connection_errors as error:
            logger.debug("leases not renewed (%s)", type(error).__name__)
        except ResponseError as error:
            logger.warning("leases not renewed: %s", error)
