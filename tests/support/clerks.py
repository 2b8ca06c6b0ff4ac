"""A clerk that keeps its books in memory; judging and policy are the real ones."""

from collections.abc import Callable, Sequence
from typing import Any

from mailqueue.envelope import Envelope
from mailqueue.outcomes import Attempt, Fault
from worker import policy
from worker.delivery import Delivery
from worker.judging import Judgement, judge
from worker.policy import Rules

RULES = Rules((30.0, 60.0), 86_400.0)


class MemoryClerk:
    """Notes what is begun and settled, in order.

    Args:
        lost: Ids whose claim another run has by now.
        now: Seconds since the epoch.
    """

    def __init__(self, lost: Sequence[str] = (), now: float = 1_000_000.0) -> None:
        self.begun: list[str] = []
        self.settled: list[tuple[str, Judgement]] = []
        self._lost = set(lost)
        self._now = now

    def begin(self, envelope: Envelope) -> bool:
        if envelope.id in self._lost:
            return False
        self.begun.append(envelope.id)
        return True

    def judge(self, envelope: Envelope, attempt: Attempt, recipients: Sequence[str]) -> Judgement:
        return judge(
            attempt,
            envelope,
            recipients,
            decide=policy.decide,
            rules=RULES,
            now=self._now,
            draw=0.5,
        )

    def settle(self, envelope: Envelope, judgement: Judgement, following: str = "") -> None:
        del following
        self.settled.append((envelope.id, judgement))

    def admit(self, envelope: Envelope, recipients: Sequence[str]) -> bool:
        del envelope, recipients
        return True


class Delivered(list[Judgement]):
    """Judgements in the order in which they came, and what stood in the way of the rest."""

    fault: Fault | None
    left: list[str]
    clerk: MemoryClerk


def deliver(
    envelopes: list[Envelope],
    backend: Any = None,
    *,
    connect: Callable[[], Any] | None = None,
    clerk: MemoryClerk | None = None,
    **options: Any,
) -> Delivered:
    """Deliver with a memory clerk."""
    clerk = clerk or MemoryClerk()
    work = Delivery(envelopes, connect or (lambda: backend), clerk, **{"budget": 60.0} | options)
    fault = work.run()
    done = Delivered(judgement for _, judgement in clerk.settled)
    done.fault, done.left, done.clerk = fault, [e.id for e in work.waiting], clerk
    return done
