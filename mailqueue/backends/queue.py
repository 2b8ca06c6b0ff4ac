"""The backend that puts mail into the queue: what ``EMAIL_BACKEND`` is unless told otherwise."""

from collections.abc import Iterable
from typing import Any

from mailqueue.backends.base import BaseEmailBackend
from mailqueue.enqueuing import enqueue
from mailqueue.envelope import Priority
from mailqueue.handles import Handle
from mailqueue.options import Moment, OnUnknown, Span, Until, read_options


class EmailBackend(BaseEmailBackend):
    """Enqueues; a worker delivers, with ``MAILQUEUE_DELIVERY_BACKEND`` and its own credentials.

    ``username``, ``password`` and other connection arguments are accepted, since ``send_mail``
    hands them on, and ignored: credentials do not travel through a queue. The delivery options of
    ``mailqueue.enqueue`` hold for whatever is sent through this object; ``delay`` and ``expires``
    count from the moment of sending. With an ``idempotency_key`` it sends once.

    Raises ``ValueError`` or ``TypeError``, as ``mailqueue.enqueue`` does, for a wrong option.
    """

    def __init__(
        self,
        fail_silently: bool = False,
        *,
        eta: Moment | None = None,
        delay: Span | None = None,
        expires: Until | None = None,
        on_unknown: OnUnknown | None = None,
        idempotency_key: str | None = None,
        route: str | None = None,
        priority: Priority = "normal",
        **kwargs: Any,
    ) -> None:
        super().__init__(fail_silently, **kwargs)
        self._options: dict[str, Any] = {
            "eta": eta,
            "delay": delay,
            "expires": expires,
            "on_unknown": on_unknown,
            "idempotency_key": idempotency_key,
            "route": route,
            "priority": priority,
        }
        read_options(**self._options)
        self._key_used = False

    def send_messages(self, email_messages: Iterable[Any]) -> int:
        """Enqueue and return how many the broker took.

        Raises ``EnqueueError`` unless ``fail_silently``; ``ValueError`` when mail was sent through
        this object before under its ``idempotency_key``: it would be taken for the same mail. See
        ``mailqueue.enqueue`` for the rest.
        """
        if self._key_used:
            raise ValueError(
                "mail was sent through this connection under its idempotency_key; make another "
                "connection, with another key, for other mail"
            )
        taken = len(self._enqueue(email_messages, self._options))
        self._key_used = bool(taken) and self._options["idempotency_key"] is not None
        return taken

    def _enqueue(self, messages: Iterable[Any], options: dict[str, Any]) -> list[Handle]:
        return enqueue(messages, fail_silently=self.fail_silently, **options)
