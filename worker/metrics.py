"""What one run counts for the metrics: each attempt's end, and how the SMTP server answers.

Without ``MAILQUEUE_METRICS_PORT`` there is no meter, and nothing is counted.
"""

from collections import Counter
from typing import Final

from mailqueue.envelope import Envelope
from mailqueue.metrics.counts import Counts, field, instance, observed
from mailqueue.metrics.names import (
    ACCEPTED,
    CONNECT,
    CONNECTIONS,
    DELIVERY,
    OUTCOMES,
    RECIPIENTS,
    REPLIES,
    REPLY,
)
from mailqueue.outcomes import Status
from mailqueue.smtp.observing import Trouble
from worker.judging import Judgement

#: Reply codes that there are (RFC 5321, section 4.2.1); a server may say anything.
_CODES: Final = range(200, 600)


class Meter:
    """Counts for one route.

    As an ``Observer`` it collects what SMTP servers answer. That travels with the next outcome
    that is recorded, which is soon: it costs no way to the state store, and only a kill in between
    loses it.

    Args:
        name: Of this worker among the metrics.
        route: The way out.
    """

    def __init__(self, name: str, route: str) -> None:
        self._name = name
        self._route = route
        self._observed: Counter[str] = Counter()

    def opened(self, seconds: float) -> None:
        """A connection was made."""
        self._observed[field(CONNECTIONS, self._route, "ok")] += 1
        self._observed += observed(CONNECT, seconds, self._route)

    def not_opened(self, trouble: Trouble, code: int) -> None:
        """A connection was not made."""
        self._observed[field(CONNECTIONS, self._route, trouble)] += 1
        if code:
            self.refused(code)

    def refused(self, code: int) -> None:
        """A command was answered with no."""
        shown = str(code) if code in _CODES else "other"
        self._observed[field(REPLIES, self._route, shown)] += 1

    def answered(self, code: int, seconds: float) -> None:
        """The end of a message was answered."""
        self.refused(code)
        self._observed += observed(REPLY, seconds, self._route)

    def counts(self, attempt: Counter[str] | None = None) -> Counts:
        """What is to be counted with an outcome: what came of an attempt, and what was observed."""
        return Counts(self._name, self._observed + (attempt or Counter()))

    def counted(self) -> None:
        """It was recorded."""
        self._observed.clear()

    def attempt(
        self, envelope: Envelope, judgement: Judgement, recipients: int, now: float
    ) -> Counter[str]:
        """What came of an attempt.

        Args:
            envelope: The mail.
            judgement: What became of it.
            recipients: How many the mail still had.
            now: Seconds since the epoch.
        """
        route, sent = self._route, judgement.status is Status.SENT
        found = Counter({field(OUTCOMES, route, judgement.status): 1})
        if sent or judgement.served:
            found[field(ACCEPTED, route)] += 1
            found[field(RECIPIENTS, route, Status.SENT)] += judgement.served
        for group in judgement.groups:
            count = len(group.recipients) or recipients
            found[field(RECIPIENTS, route, group.status)] += count
        if sent:
            # A mail that was to wait until tomorrow is not late before.
            began = max(envelope.enqueued_at, envelope.not_before)
            found += observed(DELIVERY, now - began, route)
        return found


def meter_for(route: str) -> Meter | None:
    """A meter for a run over a route; None where nothing is to be counted."""
    name = instance()
    return None if name is None else Meter(name, route)
