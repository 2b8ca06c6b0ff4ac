"""The backend that puts mail into the queue: what ``EMAIL_BACKEND`` is unless told otherwise."""

from collections.abc import Iterable
from typing import Any

from mailqueue.backends.base import BaseEmailBackend
from mailqueue.enqueuing import enqueue


class EmailBackend(BaseEmailBackend):
    """Enqueues; a worker delivers, with ``MAILQUEUE_DELIVERY_BACKEND`` and its own credentials.

    ``username``, ``password`` and other connection arguments are accepted, since ``send_mail``
    hands them on, and ignored: credentials do not travel through a queue.
    """

    def send_messages(self, email_messages: Iterable[Any]) -> int:
        """Enqueue and return how many the broker took.

        Raises ``EnqueueError`` unless ``fail_silently``; see ``mailqueue.enqueue`` for the rest.
        """
        return len(enqueue(email_messages, fail_silently=self.fail_silently))
