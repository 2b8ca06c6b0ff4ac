"""A local SMTP server (aiosmtpd) that writes what it gets into ``.eml`` files and counts."""

import asyncio
import socket
import threading
from pathlib import Path
from typing import Any, Self

from aiosmtpd.smtp import SMTP


class SmtpThread:
    """An SMTP server on a free port of 127.0.0.1, in a thread of its own.

    Attributes:
        port: The port that it listens on.
        connections: SMTP connections accepted so far.
    """

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="smtp-server", daemon=True)
        self.port: int = self._socket.getsockname()[1]
        self.connections = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def session(self, number: int) -> SMTP:
        """Make the server's side of the connection with this number; for subclasses."""
        raise NotImplementedError

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await self._loop.create_server(self._protocol, sock=self._socket)
        await self._stopping.wait()
        server.close()

    def _protocol(self) -> SMTP:
        self.connections += 1
        return self.session(self.connections)


class Sink(SmtpThread):
    """Keeps every mail as a file.

    Args:
        directory: Where the files go: ``0001.eml``, ``0002.eml`` …

    Attributes:
        received: Files written so far, in order.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.received: list[Path] = []

    def session(self, number: int) -> SMTP:  # noqa: ARG002 - all are treated alike
        """Take whatever comes."""
        return SMTP(self, enable_SMTPUTF8=True, loop=self._loop, hostname="mailqueue-demo")

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: ARG002, N802
        """Write the message as it came, then take responsibility for it, in this order."""
        path = self._directory / f"{len(self.received) + 1:04}.eml"
        path.write_bytes(envelope.original_content)
        self.received.append(path)
        return "250 kept"
