"""An SMTP server that remembers who took what when, in a thread; one connection's mail in order.

Where it takes its time decides how many mails come twice. After the final dot, when it has taken
the message and not said so, is the worst that a server can do to a sender: whoever is killed
meanwhile cannot know. Before a message (``MAIL``), it costs a killed sender nothing.
"""

import asyncio
import re
import socket
import threading
import time
from typing import Final, NamedTuple, Self

_END: Final = b"\r\n.\r\n"
_MESSAGE_ID: Final = re.compile(rb"^message-id:\s*(<[^>\r\n]+>)", re.IGNORECASE | re.MULTILINE)
_RECIPIENT: Final = re.compile(rb"^RCPT TO:<([^>]*)>", re.IGNORECASE)


class Mail(NamedTuple):
    """What is to arrive once: a message, for one recipient."""

    message_id: str
    recipient: str


class Taken(NamedTuple):
    """One acknowledgement."""

    at: float
    #: Number of the connection.
    session: int


class RecordingSink:
    """The server, on a free port.

    Args:
        patient: It takes its time before a message, not after.
        host: Address that it listens on.

    Attributes:
        pause: Seconds that it takes for a message; may be changed at any time.
        taken: All acknowledgements of each mail, in order.
        last: For each connection, the mail that it took last.
        broken: When connections broke off that had not said goodbye: their process was killed.
    """

    def __init__(self, *, patient: bool = False, host: str = "127.0.0.1") -> None:
        self.patient = patient
        self.pause = 0.0
        self.taken: dict[Mail, list[Taken]] = {}
        self.last: dict[int, Mail] = {}
        self.broken: dict[int, float] = {}
        self.sessions = 0
        self._socket = socket.create_server((host, 0))
        self.port: int = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="recording-sink", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    @property
    def arrived(self) -> int:
        """Mails that arrived, each counted once."""
        return len(self.taken)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await self._loop.create_server(self._session, sock=self._socket)
        await self._stopping.wait()
        server.close()

    def _session(self) -> "_Session":
        self.sessions += 1
        return _Session(self, self.sessions)


class _Session(asyncio.Protocol):
    """One connection, in lockstep: what comes while a reply is due has to wait for it."""

    def __init__(self, owner: RecordingSink, number: int) -> None:
        self._owner = owner
        self._number = number
        self._buffer = b""
        self._in_data = False
        self._reply_is_due = False
        self._said_goodbye = False
        self._recipients: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._say(b"220 sink")

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._said_goodbye:
            self._owner.broken[self._number] = time.monotonic()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while not self._reply_is_due and self._step():
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
            self._said_goodbye = True
            self._say(b"221 bye")
            self._transport.close()
        elif verb == b"MAIL":
            self._recipients = []
            self._say_after(self._owner.pause if self._owner.patient else 0.0, b"250 ok")
        else:
            if named := _RECIPIENT.match(command):
                self._recipients.append(named[1].decode())
            self._say(b"250 ok")

    def _take(self, content: bytes) -> None:
        named = _MESSAGE_ID.search(content)
        message_id = named[1].decode() if named else ""
        taken = Taken(time.monotonic(), self._number)
        for recipient in self._recipients:
            mail = Mail(message_id, recipient)
            self._owner.taken.setdefault(mail, []).append(taken)
            self._owner.last[self._number] = mail
        self._say_after(0.0 if self._owner.patient else self._owner.pause, b"250 taken")

    def _say_after(self, seconds: float, line: bytes) -> None:
        if seconds:
            self._reply_is_due = True
            asyncio.get_running_loop().call_later(seconds, self._say_now, line)
        else:
            self._say(line)

    def _say_now(self, line: bytes) -> None:
        self._reply_is_due = False
        self._say(line)
        self.data_received(b"")

    def _say(self, line: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(line + b"\r\n")
