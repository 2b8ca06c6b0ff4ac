"""Writes messages to a stream: for development."""

import sys
import threading
from collections.abc import Iterable
from email.charset import Charset
from typing import Any

from mailqueue.backends.base import BaseEmailBackend

SEPARATOR = "-" * 79


class EmailBackend(BaseEmailBackend):
    """Writes to ``stream``, or to standard output.

    Args:
        *args: As in ``BaseEmailBackend``.
        **kwargs: As in ``BaseEmailBackend``, and ``stream``: anything with ``write`` and ``flush``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.stream: Any = kwargs.pop("stream", None) or sys.stdout
        self._lock = threading.RLock()
        super().__init__(*args, **kwargs)

    def write_message(self, message: Any) -> None:
        """Write one message and a line of dashes."""
        built = message.message()
        charset = built.get_charset()
        name = charset.get_output_charset() if isinstance(charset, Charset) else "utf-8"
        # A mail may hold bytes of any kind; what is no text is shown as escapes.
        self._write(f"{built.as_bytes().decode(name or 'utf-8', 'backslashreplace')}\n")
        self._write(f"{SEPARATOR}\n")

    def send_messages(self, email_messages: Iterable[Any]) -> int:
        """Write messages; returns how many."""
        count = 0
        with self._lock:
            try:
                opened = self.open()
                try:
                    for message in email_messages:
                        self.write_message(message)
                        self.stream.flush()
                        count += 1
                finally:
                    if opened:
                        self.close()
            except OSError:
                if not self.fail_silently:
                    raise
        return count

    def _write(self, text: str) -> None:
        try:
            self.stream.write(text)
        except UnicodeEncodeError:
            # The terminal's charset is too small for the mail.
            encoding = getattr(self.stream, "encoding", None) or "ascii"
            self.stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
