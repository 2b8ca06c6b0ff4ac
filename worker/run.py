"""One run of the task over its batch: claim, deliver, settle every message.

What a claim says about a message (``mailqueue.ledger.Verdict``) is acted upon first; what may be
sent is sent over one connection; what could not be tried waits in the schedule, or parked while its
route is paused. When ``run_batch`` returns, nothing of the batch needs its task any more.
"""

import contextlib
import logging
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from redis.exceptions import RedisError

from mailqueue import leases, ledger, routes
from mailqueue.conf import get_settings
from mailqueue.envelope import Envelope
from mailqueue.ledger import DEATHS, Verdict, Wanted
from mailqueue.outcomes import Fault, Status
from mailqueue.privacy import without_addresses
from mailqueue.runs import new_run
from mailqueue.sending import get_connection
from mailqueue.staging import stage
from worker import heartbeat, stopping
from worker.clerk import Clerk, worth
from worker.delivery import Delivery
from worker.patience import patiently
from worker.policy import Kind, Pause
from worker.ways import Taken, ways_for

logger = logging.getLogger("mailqueue.worker")

#: Seconds after which no further message of a batch is begun, so that stopping takes bounded time.
_BUDGET: Final = 120.0
#: Failures to connect in a row, over all workers, before a route counts as away. One worker with a
#: bad line must not close it for the others.
_FAILURES_TO_PAUSE: Final = 3
_AWAY: Final = Pause(Kind.AWAY, first=5.0, longest=60.0, probe=True)
#: Seconds that a batch waits for one of its route's connections.
_CONNECTION_PATIENCE: Final = 0.5
#: Seconds until mail of a paused route is tried by another one.
_ELSEWHERE_DELAY: Final = 0.5
#: Seconds until mail for a route that is not configured here is looked at again.
_UNKNOWN_ROUTE_DELAY: Final = 60.0


@dataclass
class Report:
    """What a task tells of its batch."""

    counts: Counter[str] = field(default_factory=Counter)
    #: An id and a reply for each mail that failed for good, unless its sender wanted silence.
    failures: list[str] = field(default_factory=list)
    #: Why mail waits.
    troubles: list[str] = field(default_factory=list)


def run_batch(envelopes: Iterable[Envelope]) -> Report:
    """Settle every message of a batch."""
    report = Report()
    # The same mail twice in a batch is one mail; of two copies the newer one counts.
    unique = {e.id: e for e in sorted(envelopes, key=lambda e: e.edition)}
    by_route = sorted(unique.values(), key=lambda e: e.route)
    for route, batch in groupby(by_route, key=lambda e: e.route):
        by_id = {e.id: e for e in batch}
        taken = ways_for(route, list(by_id))
        if taken is None:
            _keep_for_later(route, list(by_id.values()), report)
        for each in taken or ():
            _Run(each, [by_id[id_] for id_ in each.ids]).go(report)
    return report


def _keep_for_later(route: str, envelopes: list[Envelope], report: Report) -> None:
    """This worker knows no such route; another one may, or will once it is started anew."""
    logger.error("MAILQUEUE_ROUTES has no route %r; %d messages wait", route, len(envelopes))
    report.counts["waiting"] += len(envelopes)
    report.troubles.append(f"no route {route} is configured here")
    for e in envelopes:
        patiently(
            lambda e=e: ledger.put_off(  # type: ignore[misc]
                route, e.id, e.edition, e.encode(),
                delay=_UNKNOWN_ROUTE_DELAY, parked=False, detail="no such route",
            )
        )  # fmt: skip


class _Run:
    """The messages of a batch that take one way."""

    def __init__(self, taken: Taken, envelopes: list[Envelope]) -> None:
        way = taken.way
        self._way = way
        self._route = way.name
        self._elsewhere = taken.elsewhere
        self._line = taken.line
        self._envelopes = envelopes
        self._name = new_run(len(envelopes))
        self._clerk = Clerk(self._name, way, elsewhere=taken.elsewhere, line=taken.line)
        self._delivery: Delivery | None = None

    def go(self, report: Report) -> None:
        try:
            with heartbeat.keeping(self._name):
                try:
                    self._deliver(self._claimed())
                except RedisError:
                    raise  # for longer than anybody waits: nothing can be written down
                except Exception as error:
                    self._break_off(error)
                    raise
        finally:
            with contextlib.suppress(RedisError):  # its lease ends by itself
                ledger.finish(self._name)
            report.counts += self._clerk.counts
            report.failures += self._clerk.failures
            report.troubles += self._clerk.troubles

    def _claimed(self) -> list[Envelope]:
        """Claim, act on each verdict, and return what is to be sent now."""
        hold = get_settings().MAILQUEUE_ON_UNKNOWN
        wanted = [
            Wanted(e.id, e.edition, hold=(e.on_unknown or hold) == "hold") for e in self._envelopes
        ]
        verdicts = patiently(lambda: ledger.claim(self._name, self._route, wanted))
        pairs = zip(self._envelopes, verdicts, strict=True)
        return [envelope for envelope, verdict in pairs if self._may_go(envelope, verdict)]

    def _may_go(self, envelope: Envelope, verdict: Verdict) -> bool:
        now = time.time()
        match verdict:
            case Verdict.GO | Verdict.RESEND if envelope.not_before > now:
                self._clerk.schedule(envelope)
            case Verdict.GO | Verdict.RESEND if (
                envelope.expires_at is not None and envelope.expires_at <= now
            ):
                self._clerk.give_up(envelope, Status.EXPIRED, "its time was over")
            case Verdict.GO:
                return True
            case Verdict.RESEND:
                logger.warning("resend id=%s: a worker died while handing it over", envelope.id)
                return True
            case Verdict.HOLD:
                why = "a worker died while handing it over; it may have been sent"
                self._clerk.give_up(envelope, Status.UNKNOWN, why)
            case Verdict.POISON:
                why = f"{DEATHS} workers died while handing it over; it may have been sent"
                self._clerk.give_up(envelope, Status.UNKNOWN, why)
            case Verdict.BUSY:
                self._put_off(envelope, "another worker has it", delay=ledger.lease_seconds())
            case Verdict.PAUSED:
                delay = _ELSEWHERE_DELAY if self._elsewhere else worth(envelope)
                why = f"route {self._route} is paused"
                self._put_off(envelope, why, delay=delay, parked=not self._elsewhere)
            case Verdict.OVER:
                self._clerk.counts["skipped"] += 1
        return False

    def _put_off(
        self, envelope: Envelope, why: str, *, delay: float = 0.0, parked: bool = False
    ) -> None:
        if parked and self._line:
            patiently(lambda: routes.open_line(self._line))
        patiently(
            lambda: ledger.put_off(
                self._line or self._route, envelope.id, envelope.edition, envelope.encode(),
                delay=delay, parked=parked, detail=why,
            )
        )  # fmt: skip
        self._clerk.counts["waiting"] += 1
        self._clerk.troubles.append(why)

    def _deliver(self, envelopes: Sequence[Envelope]) -> None:
        if not envelopes:
            return
        if self._clerk.pacer.is_full:
            self._park(envelopes, f"{self._route} is at its limit")
            return
        most = self._way.concurrency
        if most is None:
            self._send(envelopes)
            return
        if not self._connection(most):
            self._park(envelopes, f"all {most} connections of {self._route} are taken")
            return
        try:
            with heartbeat.keeping(self._name, connection_of=self._route):
                self._send(envelopes)
        finally:
            with contextlib.suppress(RedisError):  # its lease ends by itself
                leases.release(self._route, self._name)

    def _connection(self, most: int) -> bool:
        """Get one of the route's connections, waiting for a moment: most are held for no longer."""
        until = time.monotonic() + _CONNECTION_PATIENCE
        seconds = ledger.lease_seconds()
        while True:
            if patiently(lambda: leases.acquire(self._route, self._name, most, seconds)):
                return True
            if time.monotonic() > until:
                return False
            time.sleep(0.05)

    def _send(self, envelopes: Sequence[Envelope]) -> None:
        settings = get_settings()
        way = self._way
        self._delivery = Delivery(
            envelopes,
            lambda: get_connection(way.backend, **way.arguments),
            self._clerk,
            budget=_BUDGET,
            stopped=stopping.is_over,
            prepare=lambda message: stage(
                message,
                redirect_to=settings.MAILQUEUE_REDIRECT_ALL_TO,
                allowed=settings.MAILQUEUE_ALLOWED_DOMAINS,
            ),
            per_connection=way.messages_per_connection,
        )
        try:
            fault = self._delivery.run()
        finally:
            self._clerk.pacer.give_back()
        if fault is not None:
            self._stand_in_the_way(fault)
        # Time was up, or there is nothing left.
        waiting = self._delivery.waiting
        why = "its worker was told to stop" if stopping.is_over() else "its batch took too long"
        if waiting:
            logger.info("route=%s handed back=%d: %s", self._route, len(waiting), why)
            self._clerk.troubles.append(why)
        while waiting:
            self._clerk.wait(waiting.popleft(), why)

    def _park(self, envelopes: Iterable[Envelope], why: str) -> None:
        for envelope in envelopes:
            self._clerk.park(envelope, why)
        self._clerk.troubles.append(why)

    def _stand_in_the_way(self, fault: Fault) -> None:
        """Something keeps the rest of the batch from being tried: let it wait."""
        waiting = self._delivery.waiting if self._delivery else deque[Envelope]()
        decision = self._clerk.decide(fault)
        shown = without_addresses(str(fault))
        id_ = waiting[0].id if waiting else ""
        pause = decision.pause
        if pause is None:
            probing = patiently(lambda: routes.is_probe(self._route, id_))
            failures = patiently(lambda: routes.connecting_failed(self._route))
            pause = _AWAY if failures >= _FAILURES_TO_PAUSE or probing else None
        if pause is not None:
            self._clerk.pause(pause, shown, id_)
        logger.warning('route=%s waiting=%d reply="%s"', self._route, len(waiting), shown)
        self._clerk.troubles.append(shown)
        while waiting:
            envelope = waiting.popleft()
            if pause is None:
                self._clerk.wait(envelope, str(fault), delay=decision.delay or 5.0)
            elif self._elsewhere:
                self._clerk.wait(envelope, str(fault), delay=_ELSEWHERE_DELAY)
            else:
                self._clerk.park(envelope, str(fault), self._line)

    def _break_off(self, error: Exception) -> None:
        """A fault of ours: what is not settled goes round again, if that can be written down."""
        waiting = list(self._delivery.waiting) if self._delivery else []
        logger.error("batch broken off; %d messages wait", len(waiting), exc_info=error)
        for envelope in waiting:
            self._clerk.wait(envelope, type(error).__name__, delay=30.0)
