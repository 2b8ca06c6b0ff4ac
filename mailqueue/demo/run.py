"""The demo: enqueue a real load, let a real worker deliver it to a real server, and compare."""

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from urllib.parse import quote

import click

import mailqueue
from mailqueue import embedded, failed
from mailqueue.conf import configure
from mailqueue.demo import load
from mailqueue.demo.compare import same_bytes
from mailqueue.demo.sink import Sink
from mailqueue.message import EmailMessage
from mailqueue.progress import progress_bar
from mailqueue.settings import NAMES

#: Seconds without a single arrival after which the demo says that something is wrong.
_PATIENCE = 60.0
_STOP_GRACE = 45.0


def run(directory: Path) -> int:
    """Run it; mail and data go below ``directory``. Returns the process's exit code."""
    place = directory / dt.datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    broker = f"embedded://{quote(str((place / 'redis').absolute()))}"
    with _stopping_at_sigterm(), _redis(broker), Sink(place / "mail") as sink:
        settings = {
            "MAILQUEUE_BROKER_URL": broker,
            "EMAIL_HOST": "127.0.0.1",
            "EMAIL_PORT": str(sink.port),
        }
        configure(**settings)
        with _worker(settings, place / "worker.log") as worker:
            started = time.monotonic()
            expected = _enqueue()
            enqueued = time.monotonic()
            _wait(sink, len(expected), worker)
            finished = time.monotonic()
        return _report(
            place, sink, expected, enqueueing=enqueued - started, in_all=finished - started
        )


@contextmanager
def _stopping_at_sigterm() -> Iterator[None]:
    """Let SIGTERM unwind the stack as Ctrl-C does, so that nothing is left running."""

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _redis(url: str) -> Iterator[None]:
    """The embedded Redis, which is gone when the demo is."""
    embedded.url_for(url)
    try:
        yield
    finally:
        embedded.release(url)
        embedded.wait_until_stopped(url, seconds=_STOP_GRACE)


@contextmanager
def _worker(settings: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process with these settings and none of the user's own."""
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    options = ["--concurrency", "2", "-n", "demo@%h"]
    command = [sys.executable, "-P", "-m", "mailqueue", "worker", *options]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command line
            command,
            env=environment | settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C reaches the demo only, which then stops the worker in good order.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_GRACE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _enqueue() -> list[EmailMessage]:
    """Send everything as an application would; returns what is expected to arrive."""
    expected = list(load.varied())
    mailing = load.mailing()
    with progress_bar() as bar:
        task = bar.add_task("enqueueing", total=len(expected) + len(mailing))
        for message in expected:
            message.send()
            bar.advance(task)
        bar.advance(task, mailqueue.send_mass_mail(mailing))
    return [*expected, *(EmailMessage(*data) for data in mailing)]


def _wait(sink: Sink, total: int, worker: subprocess.Popen[bytes]) -> None:
    """Wait until all have arrived, or nothing has for a long time."""
    last, since = 0, time.monotonic()
    with progress_bar() as bar:
        task = bar.add_task("delivering", total=total)
        while len(sink.received) + failed.count() < total and time.monotonic() - since < _PATIENCE:
            if worker.poll() is not None:
                return
            if len(sink.received) > last:
                last, since = len(sink.received), time.monotonic()
            bar.update(task, completed=last)
            time.sleep(0.05)
        bar.update(task, completed=len(sink.received))


def _report(
    place: Path,
    sink: Sink,
    expected: list[EmailMessage],
    *,
    enqueueing: float,
    in_all: float,
) -> int:
    """Compare and tell; 0 only when every mail arrived once, as it was sent."""
    arrived: dict[str, list[Path]] = {}
    for path in sink.received:
        arrived.setdefault(_subject(path.read_bytes()), []).append(path)
    faults = [f"in the failed store: {entry.id} {entry.detail}" for entry in failed.entries()]
    intact = 0
    for message in expected:
        sent = message.message().as_bytes(linesep="\r\n")
        paths = arrived.pop(_subject(sent), [])
        if len(paths) != 1:
            faults.append(f"arrived {len(paths)} times: {message.subject}")
        elif not same_bytes(sent, paths[0].read_bytes()):
            faults.append(f"changed on the way: {message.subject} ({paths[0]})")
        else:
            intact += 1
    faults += [f"never sent: {paths[0]}" for paths in arrived.values()]
    if sink.received:
        click.echo(f"\nOne of them, {sink.received[0]}:\n")
        click.echo("".join(f"    {line}\n" for line in _excerpt(sink.received[0])))
    click.echo(
        f"{len(expected)} mails enqueued in {enqueueing:.2f} s, all delivered after {in_all:.2f} s "
        f"over {sink.connections} SMTP connections"
        if not faults
        else "\n".join(faults[:20])
    )
    click.echo(f"files: {place / 'mail'} (.eml, any mail program opens them)")
    click.echo(f"worker's log: {place / 'worker.log'}")
    click.echo(f"delivered {intact}/{len(expected)}")
    return 1 if faults else 0


def _subject(raw: bytes) -> str:
    """The Subject header as it stands, folded or encoded: it names a mail of the demo."""
    head = raw.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ")
    return next((line.decode() for line in head.split(b"\r\n") if line.startswith(b"Subject:")), "")


def _excerpt(path: Path) -> list[str]:
    return path.read_text("utf-8", "replace").splitlines()[:30]
