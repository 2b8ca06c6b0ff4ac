"""The contract that every backend keeps; Django's backends keep it, too."""

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self


class BaseEmailBackend:
    """A way for messages to leave.

    A backend author writes ``send_messages()``; ``open()`` and ``close()`` only where there is a
    connection to keep for several calls.

    A delivery backend may have one method more, which this class leaves out on purpose: where it
    is missing, a worker sends one message at a time and learns no more than an exception tells. ::

        def deliver_messages(self, messages: Iterable[Any]) -> Iterator[Attempt]

    - The backend must be open; otherwise it raises an ``OSError`` before it takes any message.
    - It takes the next message from ``messages`` only when it is about to hand it over; the caller
      notes each message that is taken as begun. It may take several before the first outcome.
    - For each message taken it yields one ``Attempt`` (``mailqueue/outcomes.py``), in the order of
      the messages and as soon as the outcome is known.
    - It never raises for trouble with a message or the connection: that is an attempt's ``fault``.
    - After the connection was lost it yields the attempts of all messages taken, closes what is
      left of it and ends. The caller may ``open()`` again and call it with what remains.

    Args:
        fail_silently: Whether trouble on the way is silent. Wrong messages and settings never are.
        **kwargs: Ignored, so that one call can serve every backend.
    """

    def __init__(self, fail_silently: bool = False, **kwargs: Any) -> None:  # noqa: ARG002 - see above
        self.fail_silently = fail_silently

    def open(self) -> bool | None:
        """Open a connection. True: it is new; False: it was open; None: silently failed."""

    def close(self) -> None:
        """Close the connection; fine without one."""

    def __enter__(self) -> Self:
        try:
            self.open()
        except Exception:
            self.close()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def send_messages(self, email_messages: Iterable[Any]) -> int:
        """Send messages; returns how many were sent.

        Raises:
            NotImplementedError: The subclass has none of its own.
        """
        raise NotImplementedError(
            "subclasses of BaseEmailBackend must override send_messages() method"
        )
