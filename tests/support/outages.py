"""Servers that fail on demand: a Redis to kill, and an SMTP server that comes and goes.

``proxy.py`` has the network between.
"""

import asyncio
import random
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import redis
from aiosmtpd.smtp import SMTP
from redis.backoff import NoBackoff
from redis.retry import Retry

from support.brokers import redis_binary
from support.processes import until
from support.proxy import LOCALHOST, Proxy
from support.smtp import Received, Script, SmtpServer

__all__ = ["LOCALHOST", "ComesAndGoes", "KillableRedis", "Proxy", "fixed_port"]


def fixed_port() -> int:
    """A free port that stays free while its server is away.

    Not one of those that the kernel gives to outgoing connections: such a connection could take it
    meanwhile, and a client that tries and tries again could even connect to itself.
    """
    choose = random.SystemRandom()  # seeded alike, parallel test processes would collide
    while True:
        port = choose.randrange(20000, 32000)
        with suppress(OSError), socket.create_server((LOCALHOST, port)):
            return port


class KillableRedis:
    """A private Redis that writes all it answers to a file; killed and started, it still has it.

    A reply is sent after the write to the file, so SIGKILL loses nothing that was acknowledged
    (a power cut could lose the last second: ``appendfsync everysec``).
    """

    def __init__(self) -> None:
        self.port = fixed_port()
        self.url = f"redis://{LOCALHOST}:{self.port}/0"
        self._directory = tempfile.TemporaryDirectory(prefix="mq")
        self._log = Path(self._directory.name) / "redis.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()
        self._directory.cleanup()

    def start(self) -> None:
        """Start on the same port and data; return when it serves, its data loaded."""
        assert self._process is None, "it runs"
        self._process = process = subprocess.Popen(
            [redis_binary(), "--port", str(self.port), "--bind", LOCALHOST,
             "--dir", self._directory.name, "--logfile", str(self._log),
             "--save", "", "--appendonly", "yes", "--appendfsync", "everysec"],
        )  # fmt: skip
        until(lambda: process.poll() is not None or self._serves(), 20, self._told)
        assert process.poll() is None, self._told()

    def kill(self) -> None:
        """SIGKILL; nothing where it does not run."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _serves(self) -> bool:
        # While it loads it says so, which is a ConnectionError too.
        with (
            suppress(redis.ConnectionError, redis.TimeoutError),
            redis.Redis(port=self.port, socket_timeout=1, retry=Retry(NoBackoff(), 0)) as client,
        ):
            return bool(client.ping())
        return False

    def _told(self) -> str:
        return self._log.read_text("utf-8", "replace") if self._log.exists() else "no log"


class ComesAndGoes:
    """An SMTP server on one port that can go away (connections refused) and come back.

    Args:
        script: As for ``SmtpServer``; ``script`` may be changed at any time.
        present: Whether entering the context brings it up.
        options: For aiosmtpd.

    Attributes:
        received: What it got, over all its comings.
    """

    def __init__(
        self, script: Script | None = None, *, present: bool = True, **options: Any
    ) -> None:
        self.port = fixed_port()
        self.script = script
        self.received: list[Received] = []
        self._present = present
        self._options = options
        self._server: _SmtpAt | None = None

    def __enter__(self) -> Self:
        if self._present:
            self.come()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.go()

    def come(self) -> None:
        """Accept connections, from when this returns."""
        assert self._server is None, "it is here"
        server = _SmtpAt(self.port, self._ask, **self._options)
        server.received = self.received
        self._server = server.__enter__()

    def go(self) -> None:
        """Hang up on everyone and refuse connections, from when this returns."""
        if self._server:
            self._server.__exit__()
            self._server = None

    def _ask(self, verb: str, argument: str, connection: int) -> str | None:
        return self.script(verb, argument, connection) if self.script else None


class _SmtpAt(SmtpServer):
    """On this port, not on any; on leaving it hangs up rather than forgets who is connected."""

    def __init__(self, port: int, script: Script, **options: Any) -> None:
        super().__init__(script, **options)
        self._socket.close()
        self._socket = socket.create_server((LOCALHOST, port))
        self.port = port
        self._sessions: list[SMTP] = []

    def session(self, number: int) -> SMTP:
        session = super().session(number)
        self._sessions.append(session)
        return session

    def __exit__(self, *exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._hang_up)
        super().__exit__(*exc_info)

    def _hang_up(self) -> None:
        for session in self._sessions:
            if isinstance(session.transport, asyncio.WriteTransport):
                session.transport.abort()
