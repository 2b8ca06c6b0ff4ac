"""Sends nothing: for switching mail off."""

from collections.abc import Iterable
from typing import Any

from mailqueue.backends.base import BaseEmailBackend


class EmailBackend(BaseEmailBackend):
    """Counts messages and forgets them."""

    def send_messages(self, email_messages: Iterable[Any]) -> int:
        """Return how many messages there are."""
        return len(list(email_messages))
