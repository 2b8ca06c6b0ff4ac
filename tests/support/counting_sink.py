"""An SMTP server that counts as a provider does: mail a second, and connections at a time.

A connection counts from when it is accepted until the server has closed its side. Real servers take
a moment between their goodbye and that (they log, they tell a process that keeps the count), so
this one does as well.
"""

import asyncio
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Self

_END: Final = b"\r\n.\r\n"
_MESSAGE_ID: Final = re.compile(rb"^message-id:\s*(<[^>\r\n]+>)", re.IGNORECASE | re.MULTILINE)
_RECIPIENT: Final = re.compile(rb"^RCPT TO:<([^>]*)>", re.IGNORECASE)


class Taken(NamedTuple):
    """A message that was accepted."""

    #: Seconds since the epoch, as Redis on this machine counts them.
    at: float
    message_id: str
    recipients: tuple[str, ...]
    #: Number of its connection.
    connection: int


class CountingSink:
    """The server, in a thread, on a free port of 127.0.0.1.

    Args:
        seconds: What it takes for each message.
        closing: What it takes to close a connection after it has said goodbye.

    Attributes:
        taken: All messages, in order.
        open: Connections now.
        most_open: Connections at the same time, at the most.
    """

    def __init__(self, *, seconds: float = 0.0, closing: float = 0.0) -> None:
        self.seconds = seconds
        self.closing = closing
        self.taken: list[Taken] = []
        self.open = 0
        self.most_open = 0
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="counting-sink", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def by_connection(self) -> Counter[int]:
        """Messages of each connection that carried any."""
        return Counter(one.connection for one in list(self.taken))

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await self._loop.create_server(lambda: _Session(self), sock=self._socket)
        await self._stopping.wait()
        server.close()


class _Session(asyncio.Protocol):
    """One connection, in lockstep."""

    def __init__(self, owner: CountingSink) -> None:
        self._owner = owner
        self._number = 0
        self._buffer = b""
        self._in_data = False
        self._is_busy = False
        self._is_over = False
        self._recipients: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        owner = self._owner
        owner.connections += 1
        self._number = owner.connections
        owner.open += 1
        owner.most_open = max(owner.most_open, owner.open)
        self._say(b"220 sink")

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.open -= 1

    def eof_received(self) -> bool:
        # What it is about is done first: its own goodbye, or a message.
        self._is_over = True
        return self._is_busy

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while not self._is_busy and self._step():
            pass

    def _step(self) -> bool:
        """Handle one command or message; whether there was one."""
        text, found, rest = self._buffer.partition(_END if self._in_data else b"\r\n")
        if not found:
            return False
        self._buffer = rest
        if self._in_data:
            self._in_data = False
            self._take(text)
        else:
            self._obey(text)
        return True

    def _obey(self, command: bytes) -> None:
        verb = command[:4].upper()
        if verb == b"DATA":
            self._in_data = True
            self._say(b"354 go on")
        elif verb == b"QUIT":
            self._is_busy = True
            self._say(b"221 bye")
            asyncio.get_running_loop().call_later(self._owner.closing, self._transport.close)
        else:
            if verb == b"MAIL":
                self._recipients = []
            elif named := _RECIPIENT.match(command):
                self._recipients.append(named[1].decode())
            self._say(b"250 ok")

    def _take(self, content: bytes) -> None:
        named = _MESSAGE_ID.search(content)
        message_id = named[1].decode() if named else ""
        recipients = tuple(self._recipients)
        self._owner.taken.append(Taken(time.time(), message_id, recipients, self._number))
        if not self._owner.seconds:
            self._say(b"250 taken")
            return
        self._is_busy = True
        asyncio.get_running_loop().call_later(self._owner.seconds, self._go_on)

    def _go_on(self) -> None:
        self._is_busy = False
        self._say(b"250 taken")
        self.data_received(b"")
        if self._is_over:
            self._transport.close()

    def _say(self, line: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(line + b"\r\n")


def fullest(counted: Iterable[tuple[float, int]], seconds: float = 1.0) -> int:
    """The most that was counted in any stretch of so many seconds, wherever it begins."""
    moments: Sequence[tuple[float, int]] = sorted(counted)
    most = within = first = 0
    for moment, count in moments:
        within += count
        while moment - moments[first][0] >= seconds:
            within -= moments[first][1]
            first += 1
        most = max(most, within)
    return most
