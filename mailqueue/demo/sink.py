"""A local SMTP server (aiosmtpd) that writes what it gets into ``.eml`` files and counts."""

import asyncio
import socket
import threading
from pathlib import Path
from typing import Any, Self

from aiosmtpd.smtp import SMTP


class Sink:
    """An SMTP server on a free port of 127.0.0.1, in a thread of its own.

    Args:
        directory: Where the files go: ``0001.eml``, ``0002.eml`` …

    Attributes:
        port: The port that it listens on.
        connections: SMTP connections accepted so far.
        received: Files written so far, in order.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="smtp-sink", daemon=True)
        self.port: int = self._socket.getsockname()[1]
        self.connections = 0
        self.received: list[Path] = []

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            self._loop.create_server(self._protocol, sock=self._socket)
        )
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _protocol(self) -> SMTP:
        self.connections += 1
        return SMTP(self, enable_SMTPUTF8=True, loop=self._loop, hostname="mailqueue-demo")

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: ARG002, N802
        """Write the message as it came, then take responsibility for it, in this order."""
        path = self._directory / f"{len(self.received) + 1:04}.eml"
        path.write_bytes(envelope.original_content)
        self.received.append(path)
        return "250 kept"
