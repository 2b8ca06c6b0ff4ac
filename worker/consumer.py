"""The consumer: messages that are no task of ours are set aside, not dropped.

Celery's own answer to a message that it cannot read is a log entry that quotes the body, and then
it is gone. For mail both are wrong: it may be somebody's letter from a newer producer.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Final

from celery.worker import consumer
from vine import promise as vine_promise

from worker.aside import set_message_aside

#: Seconds for which the broker's answer is waited for there. Not much less: it notices a cut line
#: as late as we do, and keeps the queue for remote control from us until then.
_GOODBYE: Final = 3.0


class Consumer(consumer.Consumer):
    """Celery's consumer with the four ways to refuse a message leading to the failed store."""

    class Blueprint(consumer.Consumer.Blueprint):  # type: ignore[misc, valid-type]
        """Without native delayed delivery: the schedule is ours, its 28 queues would lie idle.

        And with a heart of our own (``worker.heart``).
        """

        default_steps: ClassVar[list[str]] = [
            "worker.heart:HeartStep" if step.endswith(":Heart") else step
            for step in consumer.Consumer.Blueprint.default_steps
            if not step.endswith(":DelayedDelivery")
        ]

    def connection_for_write(self, url: str | None = None, heartbeat: Any = None) -> Any:
        """Connect to send events, which nobody confirms, and where goodbye is not waited for long.

        The main thread sends them. On a line that is cut it would wait for each confirmation until
        that times out, and hear nothing of the heartbeats that are missing meanwhile.
        """
        options = {"confirm_publish": False, "read_timeout": _GOODBYE} if heartbeat else {}
        connection = self.app.connection_for_write(
            url=url, heartbeat=heartbeat, transport_options=options
        )
        return self.ensure_connected(connection)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Not JSON, or not what its content type says."""
        set_message_aside(message, f"cannot be decoded: {type(exc).__name__}")

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Not a Celery message at all."""
        del body
        set_message_aside(message, "not a Celery message")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """A task that this worker does not have."""
        del body, exc
        set_message_aside(message, f"unknown task {str(message.headers.get('task'))[:100]!r}")

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Our task, with headers or a content type that are not acceptable."""
        del body
        set_message_aside(message, f"invalid task message: {type(exc).__name__}")

    def create_task_handler(self, promise: Any = vine_promise) -> Callable[[Any], None]:
        """Guard the handler against headers of the wrong shape, which would stop the worker."""
        handle = super().create_task_handler(promise=promise)

        def guarded(message: Any) -> None:
            try:
                handle(message)
            except (TypeError, ValueError, LookupError, AttributeError) as exc:
                set_message_aside(message, f"malformed task message: {type(exc).__name__}")

        return guarded
