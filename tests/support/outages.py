"""Servers that fail on demand, and mail that flows meanwhile; ``proxy.py`` has the network."""

import asyncio
import os
import random
import re
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

import redis
from aiosmtpd.smtp import SMTP
from redis.backoff import NoBackoff
from redis.retry import Retry

from mailqueue import EmailMessage, EnqueueError, conf, enqueue, failed, ledger, routes, schedule
from mailqueue.desk.queue_length import queue_length
from support.brokers import redis_binary
from support.processes import Worker, until, worker
from support.proxy import LOCALHOST, Proxy
from support.smtp import Received, Script, SmtpServer

__all__ = [
    "CUT",
    "LOCALHOST",
    "LONG",
    "ComesAndGoes",
    "Flow",
    "KillableRedis",
    "Proxy",
    "fixed_port",
    "flowing",
    "slowly",
]


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


#: With ``MAILQUEUE_TEST_LONG_OUTAGES`` set, outages last as long as they do in life.
LONG: Final = bool(os.environ.get("MAILQUEUE_TEST_LONG_OUTAGES"))
#: Seconds for which a network is cut: beyond the 10 that a worker's Redis connection waits.
CUT: Final = 30.0 if LONG else 12.0
#: Pools of the two workers, and the mails that each hands over at a time.
POOLS: Final = ("prefork", "threads")
CONCURRENCY: Final = 2
#: Seconds for an enqueue to fail in, besides its time limit: the machine may be busy.
_SLACK: Final = 3.0
#: Seconds for which nothing may be left to do before all counts as done.
_QUIET: Final = 1.0
_MESSAGE_ID: Final = re.compile(rb"^message-id:\s*(<[^>\r\n]+>)", re.IGNORECASE | re.MULTILINE)
#: What differs between two lines of a log that say the same.
_PARTICULARS: Final = re.compile(r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b[0-9a-f]{12,}\b|\d+(\.\d+)?")
#: How an entry of a log begins; the lines of a traceback do not.
_ENTRY: Final = re.compile(r"\[\d{4}-")
#: What is told of each task and of each mail that was sent, outage or not.
_USUAL: Final = re.compile(r"Task mailqueue\.deliver\[|\] sent id=")


def slowly(seconds: float = 0.01) -> Script:
    """Script of an SMTP server that takes its time over each message, one after the other."""

    def script(verb: str, argument: str, connection: int) -> None:
        del argument, connection
        if verb == "DATA":
            time.sleep(seconds)

    return script


class Flow:
    """Mail on its way through two workers while something breaks; what came of it.

    Args:
        smtp: Where it is to arrive.
        workers: By their pools.

    Attributes:
        promised: Message-IDs of what was enqueued.
        refused: How many calls of ``enqueue()`` failed.
        connections: How many mails may be handed over at a time.
        noise: For each outage and pool, the entries that a worker logged in a second.
    """

    def __init__(self, smtp: ComesAndGoes, workers: dict[str, Worker]) -> None:
        self.workers = workers
        self.promised: set[str] = set()
        self.refused = 0
        self.connections = CONCURRENCY * len(workers)
        self.noise: list[tuple[str, float]] = []
        self._smtp = smtp
        self._seen = 0
        self._copies: Counter[str] = Counter()
        self._began_at: dict[str, int] = {}

    def enqueue(self, count: int = 1) -> None:
        """Enqueue mails; raises what ``enqueue()`` raises."""
        handles = enqueue(
            EmailMessage(f"News {n}", "Dear reader\n", "us@example.com", [f"reader{n}@example.com"])
            for n in range(count)
        )
        self.promised.update(handle.message_id for handle in handles)

    def enqueue_in_vain(self, seconds: float, pause: float = 0.5) -> None:
        """Try to enqueue for so long; each call has to fail, in time."""
        limit = conf.get_settings().MAILQUEUE_ENQUEUE_TIMEOUT + _SLACK
        until_then = time.monotonic() + seconds
        while time.monotonic() < until_then:
            began = time.monotonic()
            try:
                self.enqueue()
            except EnqueueError:
                self.refused += 1
            else:
                raise AssertionError("it was enqueued, with the broker away")
            assert time.monotonic() - began < limit
            time.sleep(pause)

    def enqueue_meanwhile(self, seconds: float) -> None:
        """Enqueue one mail after the other for so long; what is away does not matter for that."""
        until_then = time.monotonic() + seconds
        while time.monotonic() < until_then:
            self.enqueue()
            time.sleep(0.5)

    def enqueue_again(self, seconds: float = 20) -> None:
        """Enqueue one mail as soon as that works."""

        def works() -> bool:
            with suppress(EnqueueError):
                self.enqueue()
                return True
            return False

        until(works, seconds)

    @property
    def arrived(self) -> Counter[str]:
        """Message-IDs of what arrived, and how often."""
        received = self._smtp.received
        while self._seen < len(received):
            named = _MESSAGE_ID.search(received[self._seen].content)
            self._copies[named[1].decode() if named else "none"] += 1
            self._seen += 1
        return self._copies

    @property
    def lost(self) -> set[str]:
        """What was promised and has not arrived, so far."""
        return self.promised - self.arrived.keys()

    @property
    def duplicates(self) -> int:
        return self.arrived.total() - len(self.arrived)

    def until_arrived(self, count: int) -> None:
        """Wait until so many mails arrived; they must not be all."""
        until(lambda: len(self.arrived) >= count, 60, self.told)
        assert self.lost, "too late for an outage in the middle"

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Listen to what the workers log meanwhile."""
        began = time.monotonic()
        before = {pool: len(one.log) for pool, one in self.workers.items()}
        self._began_at = self._began_at or before
        yield
        seconds = time.monotonic() - began
        for pool, at in before.items():
            self.noise.append((pool, len(self._unusual(pool, at)) / seconds))

    def until_settled(self, seconds: float = 90) -> None:
        """Wait until all arrived and nothing has been left to do for a while."""
        until(lambda: not self.lost, seconds, self.told)
        quiet_since = time.monotonic()

        def quiet() -> bool:
            nonlocal quiet_since
            if _remains():
                quiet_since = time.monotonic()
            return time.monotonic() - quiet_since > _QUIET

        until(quiet, 60, lambda: (_remains(), self.told()))

    def repeated(self) -> tuple[int, str]:
        """What a worker said most often since the outage began, and how often."""
        said = Counter(
            _PARTICULARS.sub("#", line)
            for pool, at in self._began_at.items()
            for line in self._unusual(pool, at)
        )
        return max(((count, line) for line, count in said.items()), default=(0, ""))

    def _unusual(self, pool: str, at: int) -> list[str]:
        """What was logged, entries and not their lines: a traceback is long, but no loop."""
        lines = self.workers[pool].log[at:].splitlines()
        return [line for line in lines if _ENTRY.match(line) and not _USUAL.search(line)]

    def told(self) -> str:
        """The ends of the logs."""
        return "\n".join(
            [f"{len(self.lost)} of {len(self.promised)} not arrived"]
            + [f"--- {pool}\n{one.log[-3000:]}" for pool, one in self.workers.items()]
        )

    def running(self) -> bool:
        """The processes that were started are still those."""
        return all(one.process.poll() is None for one in self.workers.values())


@contextmanager
def flowing(settings: dict[str, str], smtp: ComesAndGoes, directory: Path) -> Iterator[Flow]:
    """Two workers that send there, of which nobody but us may end one, and a producer: us.

    On leaving, everything has arrived, nothing is left anywhere, and the logs are bearable.
    """
    conf.configure(**settings)
    waiting = [
        worker(settings, directory / f"{pool}.log", "--pool", pool, "--hostname", f"{pool}@%h",
               "--concurrency", str(CONCURRENCY))
        for pool in POOLS
    ]  # fmt: skip
    with ExitStack() as stack, ThreadPoolExecutor() as both:
        workers = dict(zip(POOLS, both.map(stack.enter_context, waiting), strict=True))
        flow = Flow(smtp, workers)
        yield flow
        flow.until_settled()
        assert flow.running(), flow.told()
        for one in workers.values():
            one.process.terminate()
        for one in workers.values():
            one.process.wait(45)
    count, line = flow.repeated()
    print(  # noqa: T201 - pytest shows it with -rP
        f"mails: {len(flow.promised)}, duplicates: {flow.duplicates}, refused: {flow.refused};",
        f"entries/s: {', '.join(f'{pool} {rate:.1f}' for pool, rate in flow.noise)};",
        f"{count} times {line!r}",
    )
    # Also what a worker had taken and not acknowledged: it gave that back.
    assert _remains() == {}
    assert flow.duplicates <= flow.connections
    for pool, rate in flow.noise:
        assert rate < 20, (pool, rate)
    assert count <= 40, (count, line)
    for one in workers.values():
        assert "Unrecoverable error" not in one.log


def _remains() -> dict[str, int]:
    """What is not done, by where it is."""
    length = queue_length()
    assert not length.trouble, length.trouble
    found = {
        "queue": length.batches or 0,
        "unacknowledged": length.taken or 0,
        "in flight": ledger.in_flight(),
        "scheduled": schedule.count(),
        "parked": sum(routes.parked(route) for route in routes.known()),
        "failed": failed.count(),
    }
    return {where: count for where, count in found.items() if count}
