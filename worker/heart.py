"""The worker's sign of life for Flower, without waiting for a broker that is away."""

from typing import Any

from celery.worker import heartbeat
from celery.worker.consumer import heart

_Step: Any = heart.Heart
_Heart: Any = heartbeat.Heart


class Heart(_Heart):  # type: ignore[misc]  # untyped in its stubs
    """Celery's heart, which sends an event or keeps it for later.

    Celery's own tries to send until the broker is back, in the main thread: that worker does not
    hear that it is told to stop.
    """

    def _send(self, event: str, retry: bool = True) -> Any:
        del retry
        return super()._send(event, retry=False)


class HeartStep(_Step):  # type: ignore[misc]  # as above
    """Takes the place of Celery's step."""

    def start(self, c: Any) -> None:
        """Start with the consumer."""
        c.heart = Heart(c.timer, c.event_dispatcher, self.heartbeat_interval)
        c.heart.start()
