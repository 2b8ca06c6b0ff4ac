"""One run: enqueue, kill at random moments spread over the work, let the rest drain, count."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from mailqueue import EmailMessage, conf, enqueue, ledger, routes, schedule
from mailqueue.desk.queue_length import queue_length
from mailqueue.handles import Handle
from support.killing.fleet import CONCURRENCY, Fleet
from support.killing.outcome import Kill, Outcome, kept_ids, missing, recoveries, unexplained
from support.killing.sink import RecordingSink

#: Seconds; the broker's for a dead worker's batch. Its third is the lease of a run.
VISIBILITY_TIMEOUT: Final = 9
#: Seconds of work between two kills, for which the server takes its time. A start takes as long.
_BETWEEN_KILLS: Final = 3.0
#: Seconds that the server takes while a kill is due and no worker ready: work must not run out.
_SLOW: Final = 0.3
#: Of a worker with processes, one child is killed in this share of the kills.
_CHILD: Final = 0.5
#: Seconds of quiet after which all is done. A killed child's batch runs again after five.
_QUIET: Final = 7.0
#: Messages that are enqueued in one call.
_CALL: Final = 1000
_BODY: Final = "Dear reader, there is news of the kind that one reads at breakfast.\n" * 10


class Plan(NamedTuple):
    """How much of everything."""

    mails: int = 20_000
    kills: int = 25
    workers: int = 2
    pools: tuple[str, ...] = ("prefork", "threads")
    batch: int = 50
    seed: int = 0
    #: The server takes its time before each message; else after it, which is the worst case.
    patient: bool = False
    #: Seconds.
    limit: float = 600.0


class _LateError(Exception):
    """The run took longer than its limit."""


class KillLoop:
    """A run.

    Args:
        plan: How much of everything.
        broker: Settings that name the broker and a queue of the run's own.
        directory: Where the workers' logs go.
    """

    def __init__(self, plan: Plan, broker: dict[str, str], directory: Path) -> None:
        self._plan = plan
        self._broker = broker
        self._directory = directory
        self._random = random.Random(plan.seed)
        self._kills: list[Kill] = []
        self._started = time.monotonic()

    def run(self) -> Outcome:
        """Do it all; returns what came of it, also where time was up."""
        plan = self._plan
        with RecordingSink(patient=plan.patient) as sink:
            settings = self._broker | {
                "MAILQUEUE_VISIBILITY_TIMEOUT": str(VISIBILITY_TIMEOUT),
                "MAILQUEUE_BATCH_SIZE": str(plan.batch),
                "MAILQUEUE_ENQUEUE_TIMEOUT": "10",
                "EMAIL_HOST": "127.0.0.1",
                "EMAIL_PORT": str(sink.port),
            }
            conf.configure(**settings)
            handles = self._enqueue()
            finished = True
            with Fleet(settings, self._directory) as fleet:
                try:
                    for number in range(plan.workers):
                        fleet.start(plan.pools[number % len(plan.pools)])
                    self._kill(sink, fleet)
                    self._drain(sink, fleet)
                except _LateError:
                    finished = False
                connections = len(sink.broken)
            return self._outcome(sink, handles, connections, finished=finished)

    def _enqueue(self) -> list[Handle]:
        handles: list[Handle] = []
        for start in range(0, self._plan.mails, _CALL):
            numbers = range(start, min(start + _CALL, self._plan.mails))
            handles += enqueue(
                EmailMessage(f"News {n}", _BODY, "us@example.com", [f"reader{n}@example.com"])
                for n in numbers
            )
        return handles

    def _kill(self, sink: RecordingSink, fleet: Fleet) -> None:
        plan = self._plan
        connections = plan.workers * CONCURRENCY
        pause = min(_SLOW, _BETWEEN_KILLS * connections * max(1, plan.kills) / plan.mails)
        for number in range(plan.kills):
            sink.pause = pause
            due = plan.mails * (number + self._random.random()) / (plan.kills + 1)
            self._until(lambda due=due: sink.arrived >= due)  # type: ignore[misc]
            sink.pause = max(pause, _SLOW)
            self._until(fleet.ready)
            time.sleep(self._random.uniform(0, 0.3))
            self._kill_one(fleet)
        sink.pause = 0.0

    def _kill_one(self, fleet: Fleet) -> None:
        """Kill a worker and start another at once; or kill a child, which its worker replaces."""
        victim = self._random.choice(fleet.ready())
        children = victim.children() if victim.pool == "prefork" else []
        whole = not children or self._random.random() >= _CHILD
        self._kills.append(Kill(time.monotonic(), victim.pool, whole))
        if whole:
            fleet.replace(victim)
        else:
            victim.kill_child(self._random.choice(children))

    def _drain(self, sink: RecordingSink, fleet: Fleet) -> None:
        """Wait until there is nothing to do for anybody, and has not been for a while."""
        quiet_since, arrived = time.monotonic(), -1
        while time.monotonic() - quiet_since < _QUIET:
            self._until(lambda: True)
            fleet.check()
            if sink.arrived != arrived or not _idle():
                quiet_since, arrived = time.monotonic(), sink.arrived
            time.sleep(0.2)

    def _outcome(
        self, sink: RecordingSink, handles: list[Handle], connections: int, *, finished: bool
    ) -> Outcome:
        seconds = time.monotonic() - self._started
        # RabbitMQ shows what a worker held when it has seen that the worker is gone.
        time.sleep(1)
        absent = missing(handles, sink)
        kept = kept_ids().intersection(absent)
        length = queue_length()
        taken = [copy for copies in sink.taken.values() for copy in copies]
        return Outcome(
            sent=len(handles),
            kills=self._kills,
            arrived=sink.arrived,
            lost=[id_ for id_ in absent if id_ not in kept],
            kept=len(kept),
            duplicates=len(taken) - sink.arrived,
            unexplained=unexplained(sink),
            connections=connections,
            left=(length.batches or 0) + (length.taken or 0),
            recoveries=recoveries(sink, self._kills, self._plan.batch, len(handles)),
            seconds=seconds,
            finished=finished,
        )

    def _until(self, condition: Callable[[], object]) -> None:
        while True:
            if time.monotonic() - self._started > self._plan.limit:
                raise _LateError
            if condition():
                return
            time.sleep(0.02)


def _idle() -> bool:
    length = queue_length()
    return (
        length.batches == 0
        and not length.taken
        and not ledger.in_flight()
        and not schedule.count()
        and not any(routes.parked(route) for route in routes.known())
    )
