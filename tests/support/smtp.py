"""A real SMTP server (aiosmtpd) that records what it gets and can be told to misbehave."""

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, Self

from aiosmtpd.smtp import SMTP


class Received(NamedTuple):
    sender: str
    recipients: list[str]
    content: bytes
    connection: int


#: Given (verb, argument, connection number): a reply, or None to go on. "close" hangs up.
Script = Callable[[str, str, int], str | None]


class SmtpServer:
    """Listens on a free port of 127.0.0.1; ``received`` and ``connections`` tell the story."""

    def __init__(self, script: Script | None = None, **options: Any) -> None:
        self.script = script
        self._options: dict[str, Any] = {"enable_SMTPUTF8": True, "hostname": "sink"} | options
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port: int = self._socket.getsockname()[1]
        self.received: list[Received] = []
        self.connections = 0
        self.quits = 0

    def __enter__(self) -> Self:
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
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def _protocol(self) -> SMTP:
        self.connections += 1
        return SMTP(_Handler(self, self.connections), loop=self._loop, **self._options)


class _Handler:
    def __init__(self, owner: SmtpServer, number: int) -> None:
        self._owner = owner
        self._number = number

    def _scripted(self, server: Any, verb: str, argument: str = "") -> str | None:
        reply = self._owner.script(verb, argument, self._number) if self._owner.script else None
        if reply == "close":
            server.transport.abort()
            return "421 gone"
        return reply

    async def handle_MAIL(self, server, session, envelope, address, options):
        reply = self._scripted(server, "MAIL", address)
        if reply:
            return reply
        envelope.mail_from = address
        return "250 ok"

    async def handle_RCPT(self, server, session, envelope, address, options):
        reply = self._scripted(server, "RCPT", address)
        if reply:
            return reply
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server, session, envelope):
        reply = self._scripted(server, "DATA")
        if reply:
            return reply
        self._owner.received.append(
            Received(
                envelope.mail_from,
                list(envelope.rcpt_tos),
                envelope.original_content,
                self._number,
            )
        )
        return "250 kept"

    async def handle_QUIT(self, server, session, envelope):
        self._owner.quits += 1
        return "221 bye"
