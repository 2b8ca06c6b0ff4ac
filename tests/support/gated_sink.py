"""An SMTP server that counts what it accepts, and can hold everybody before a mail begins."""

import asyncio
import email
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from aiosmtpd.smtp import SMTP

from mailqueue.demo.sink import SmtpThread


class Accepted(NamedTuple):
    subject: str
    recipients: tuple[str, ...]


class GatedSink(SmtpThread):
    """Refuses recipients called ``refused…``, and those called ``later…`` the first time.

    Attributes:
        accepted: What was answered with 250 after its content, in order.
        refusals: How many recipients were refused for good, and how many for the moment.
        held: Connections that wait at MAIL, while the gate is closed: what they sent before is
            recorded, what they want to send is not begun.
    """

    def __init__(self) -> None:
        super().__init__()
        self.accepted: list[Accepted] = []
        self.refusals: Counter[str] = Counter()
        self.held = 0
        self._known: set[str] = set()
        self._open = asyncio.Event()
        self._open.set()

    def session(self, number: int) -> SMTP:
        del number
        return SMTP(self, loop=self._loop, hostname="sink", enable_SMTPUTF8=True)

    def close_the_gate(self) -> None:
        self._do(self._open.clear)

    def open_the_gate(self) -> None:
        self._do(self._open.set)

    def _do(self, what: Callable[[], None]) -> None:
        done = threading.Event()
        self._loop.call_soon_threadsafe(what)
        self._loop.call_soon_threadsafe(done.set)
        assert done.wait(10)

    async def handle_MAIL(
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        self.held += 1
        try:
            await self._open.wait()
        finally:
            self.held -= 1
        envelope.mail_from = address
        return "250 ok"

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address.startswith("refused"):
            self.refusals["550"] += 1
            return "550 5.1.1 no such user"
        if address.startswith("later") and address not in self._known:
            self._known.add(address)
            self.refusals["450"] += 1
            return "450 4.2.0 try again later"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        message = email.message_from_bytes(envelope.original_content)
        self.accepted.append(Accepted(str(message["Subject"]), tuple(envelope.rcpt_tos)))
        return "250 kept"
