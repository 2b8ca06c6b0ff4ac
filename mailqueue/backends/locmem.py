"""Keeps messages in memory: for tests."""

import copy
from collections.abc import Iterable
from typing import Any

import mailqueue
from mailqueue.backends.base import BaseEmailBackend


class EmailBackend(BaseEmailBackend):
    """Appends to ``mailqueue.outbox``, a list that the first instance makes.

    Where Django's test runner made one already, it is that one.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not hasattr(mailqueue, "outbox"):
            mailqueue.outbox = []  # type: ignore[attr-defined]

    def send_messages(self, email_messages: Iterable[Any]) -> int:
        """Keep a copy of each message; one that could not be built is refused as when sending.

        Raises:
            ValueError: A message cannot be built.
        """
        count = 0
        for message in email_messages:
            message.message()
            # A copy: what the test changes afterwards must not change what was sent.
            mailqueue.outbox.append(copy.deepcopy(message))  # type: ignore[attr-defined]
            count += 1
        return count
