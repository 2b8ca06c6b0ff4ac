"""A real SMTP server (aiosmtpd) that records what it gets and can be told to misbehave."""

from collections.abc import Callable
from typing import Any, NamedTuple

from aiosmtpd.smtp import SMTP

from mailqueue.demo.sink import SmtpThread


class Received(NamedTuple):
    sender: str
    recipients: list[str]
    content: bytes
    connection: int


#: Given (verb, argument, connection number): a reply, or None to go on. "close" hangs up.
Script = Callable[[str, str, int], str | None]


class SmtpServer(SmtpThread):
    """Takes mail, or does what its script says; ``received`` tells the story."""

    def __init__(self, script: Script | None = None, **options: Any) -> None:
        super().__init__()
        self.script = script
        self._options: dict[str, Any] = {"enable_SMTPUTF8": True, "hostname": "sink"} | options
        self.received: list[Received] = []
        self.quits = 0

    def session(self, number: int) -> SMTP:
        return SMTP(_Handler(self, number), loop=self._loop, **self._options)


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
