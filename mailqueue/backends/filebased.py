"""Writes messages to files, one file for each instance: for development."""

import itertools
import os
import time
from pathlib import Path
from typing import Any, Final

from mailqueue.backends.console import SEPARATOR
from mailqueue.backends.console import EmailBackend as ConsoleEmailBackend
from mailqueue.conf import get_settings
from mailqueue.errors import ConfigurationError

_number: Final = itertools.count(1)


class EmailBackend(ConsoleEmailBackend):
    """Writes to a file in a directory.

    Args:
        *args: As in ``BaseEmailBackend``.
        file_path: The directory, made where it is missing; None means ``EMAIL_FILE_PATH``.
        **kwargs: As in ``BaseEmailBackend``.

    Raises:
        ConfigurationError: No directory is set, or it cannot be one, or cannot be written to.
    """

    def __init__(self, *args: Any, file_path: Any = None, **kwargs: Any) -> None:
        self._fname: Path | None = None
        path = file_path if file_path is not None else get_settings().EMAIL_FILE_PATH
        if not path:
            raise ConfigurationError("EMAIL_FILE_PATH is not set; name a directory for the files")
        # Absolute: the process may change its directory between two messages.
        self.file_path = os.path.abspath(path)  # noqa: PTH100 - Django's attribute is a str
        try:
            Path(self.file_path).mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise ConfigurationError(
                f"Path for saving email messages exists, but is not a directory: {self.file_path}"
            ) from error
        except OSError as error:
            raise ConfigurationError(
                f"Could not create directory for saving email messages: {self.file_path} ({error})"
            ) from error
        if not os.access(self.file_path, os.W_OK):
            raise ConfigurationError(f"Could not write to directory: {self.file_path}")
        super().__init__(*args, **kwargs)
        self.stream = None

    def write_message(self, message: Any) -> None:
        """Write one message and a line of dashes."""
        self.stream.write(message.message().as_bytes() + f"\n{SEPARATOR}\n".encode())

    def open(self) -> bool:
        """Open this instance's file, readable by its owner only: mail is private."""
        if self.stream is not None:
            return False
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self.stream = os.fdopen(os.open(self._get_filename(), flags, 0o600), "ab")
        return True

    def close(self) -> None:
        """Close the file; the next message goes to the same one."""
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.close()

    def _get_filename(self) -> Path:
        if self._fname is None:
            stamp = time.strftime("%Y%m%d-%H%M%S")
            # Process and count: an id() comes back as soon as its object is gone.
            name = f"{stamp}-{os.getpid()}{next(_number):06d}.log"
            self._fname = Path(self.file_path, name)
        return self._fname
