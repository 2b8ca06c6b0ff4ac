"""Limits that workers share, at a real server.

How fast a machine is, or for how long it stalls, decides nothing here. That a limit holds is looked
up in the books that Redis keeps of it, by its one clock; the server then tells that no mail arrived
before its place was due. That a limit is used has a wide margin.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import msgspec
import pytest
from click.testing import CliRunner
from support.counting_sink import CountingSink
from support.processes import until, worker

from mailqueue import EmailMessage, conf, enqueue, ledger, limits, routes
from mailqueue.cli import main
from mailqueue.limit_text import parse_limit
from mailqueue.limits import Bound
from mailqueue.outcomes import Status
from mailqueue.state import get_state, key

RATE = 20
#: Slices that a period may touch, and seconds of one: see ``mailqueue.limits``.
SLICES, WIDTH = 21, 0.05


@pytest.fixture
def sink():
    with CountingSink() as server:
        yield server


def with_route(settings: dict[str, str], sink: CountingSink, **route) -> dict[str, str]:
    """A route ``news`` to the server, which no mail takes that does not ask for it."""
    way = {"host": "127.0.0.1", "port": sink.port}
    found = settings | {
        "MAILQUEUE_ROUTES": json.dumps({"default": way, "news": way | route}),
        "MAILQUEUE_BATCH_SIZE": "25",
    }
    conf.configure(**found)
    return found


def send(count: int, *, domain: str = "example.com", recipients: int = 1, **options):
    return enqueue(
        [
            EmailMessage(
                f"No. {n}", "x", "us@example.com",
                [f"reader{n}-{m}@{domain}" for m in range(recipients)],
            )
            for n in range(count)
        ],
        **{"route": "news"} | options,
    )  # fmt: skip


def to_domain(sink: CountingSink, domain: str) -> int:
    return sum(one.recipients[0].endswith(f"@{domain}") for one in list(sink.taken))


@contextmanager
def two_workers(settings, directory) -> Iterator[None]:
    with (
        worker(settings, directory / "one.log"),
        worker(settings, directory / "two.log"),
    ):
        yield


class Books:
    """What Redis has booked in each slice of a limit of a second; it forgets older ones itself."""

    def __init__(self, line: str, what: str) -> None:
        self.booked: dict[int, int] = {}
        self._key = key("limit", line, f"{what}/1s")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._done.set()
        self._thread.join()
        self._look()

    def _read(self) -> None:
        while not self._done.wait(0.2):
            self._look()

    def _look(self) -> None:
        kept: Any = get_state().get(self._key)
        if kept:
            first, *numbers = msgspec.msgpack.decode(kept, type=list[int])
            self.booked.update(enumerate(numbers, first))

    def fullest(self) -> int:
        """The most in any second."""
        return max(
            sum(self.booked.get(n, 0) for n in range(start, start + SLICES))
            for start in self.booked
        )

    def due_by(self, moment: float) -> int:
        """How much might have been sent by then."""
        return sum(count for number, count in self.booked.items() if number * WIDTH <= moment)


def none_was_early(sink: CountingSink, books: Books) -> None:
    for number, one in enumerate(sink.taken, 1):
        assert number <= books.due_by(one.at), (number, one)


def test_two_workers_share_a_limit(redis_settings, sink, tmp_path):
    settings = with_route(redis_settings, sink, limits=[f"{RATE}/s"])
    handles = send(6 * RATE)
    with Books("news", "messages") as books, two_workers(settings, tmp_path):
        until(lambda: len(sink.taken) >= len(handles), 60, lambda: len(sink.taken))
        # In the ledger as in the books: nothing is tried again, and nothing was an attempt.
        until(lambda: ledger.totals()["news"].get("sent") == len(handles), 10)
    assert books.fullest() <= RATE
    assert sum(books.booked.values()) == len(handles)
    none_was_early(sink, books)
    assert sorted(one.message_id for one in sink.taken) == sorted(h.message_id for h in handles)
    # Half of it at the least, where no machine stalls for as long as all of it takes.
    assert sink.taken[-1].at - sink.taken[0].at < 2 * len(handles) / RATE


def test_recipients_are_what_is_counted(redis_settings, sink, tmp_path):
    settings = with_route(redis_settings, sink, limits=[f"{RATE} recipients/s"])
    send(RATE, recipients=3)
    with Books("news", "recipients") as books, two_workers(settings, tmp_path):
        until(lambda: len(sink.taken) >= RATE, 60, lambda: len(sink.taken))
    assert books.fullest() <= RATE
    assert sum(books.booked.values()) == 3 * RATE


def test_a_full_domain_and_a_full_route_hold_up_nobody_else(redis_settings, sink, tmp_path):
    slow = {"domains": ["slow.example", "*.slow.example"], "limits": ["5/s"]}
    settings = with_route(redis_settings, sink, domains={"slow": slow})
    # In front of all the others, and mixed among them.
    send(150, domain="slow.example")
    for _ in range(10):
        send(10, domain="mx.slow.example")
        send(10, domain="fast.example")
    send(10, domain="other.example", route="default")
    # One worker: two could each be half held up.
    with worker(settings, tmp_path / "one.log"):
        until(
            lambda: (to_domain(sink, "fast.example"), to_domain(sink, "other.example"))
            == (100, 10),
            60, lambda: len(sink.taken),
        )  # fmt: skip
        # Those in front take half a minute; the others did not wait for them.
        assert len(sink.taken) - 110 < 150
        assert routes.parked("news") > 0
        assert set(ledger.totals()) == {"news", "default"}


def test_what_is_over_a_quota_waits_is_shown_and_loses_no_attempt(
    redis_settings, sink, tmp_path
):  # fmt: skip
    settings = with_route(redis_settings, sink, limits=["20/day"])
    day = Bound("news", parse_limit("20/day"))
    for _ in range(15):
        assert limits.take([day], patience=0).granted
    handles = send(35)
    with two_workers(settings, tmp_path):
        until(lambda: routes.parked("news") == 30, 30, lambda: routes.parked("news"))
        [urgent] = send(1, priority="high")
        until(lambda: routes.parked("news") == 31, 30, lambda: routes.parked("news"))
        for command in (["stats", "--json"], ["routes", "list", "--json"]):
            said = json.loads(CliRunner().invoke(main, command).output)
            [shown] = [one for one in said["routes"] if one["route"] == "news"]
            assert (shown["parked"], shown["paused"]) == (31, None)
        assert len(sink.taken) == 5
        waiting = [ledger.look_up(h.id) for h in handles]
        parked = [record for record in waiting if record and record.status is Status.DEFERRED]
        assert len(parked) == 30
        assert {record.attempts for record in parked} == {0}
        assert {record.detail for record in parked} == {"news is at its limit"}
        # A day later: the urgent one, enqueued last, is among the twenty that go.
        get_state().delete(key("limit", "news", "messages/86400s"))
        until(lambda: len(sink.taken) == 25, 30, lambda: len(sink.taken))
        assert urgent.message_id in {one.message_id for one in sink.taken}
        until(lambda: routes.parked("news") == 11, 30, lambda: routes.parked("news"))
        # And another day.
        get_state().delete(key("limit", "news", "messages/86400s"))
        until(lambda: len(sink.taken) == 36, 30, lambda: len(sink.taken))
    assert len({one.message_id for one in sink.taken}) == 36
