"""The books of one run: what is claimed, begun, settled, and told.

Order matters. What failed is in the failed store before the ledger says so; what is deferred gets
into the schedule in the same step as its record; only when all is settled does the task end, and
only its end acknowledges the batch. A crash anywhere in between repeats a step that is harmless to
repeat.
"""

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from mailqueue import failed, ledger, routes
from mailqueue.conf import get_settings
from mailqueue.envelope import Envelope, Try
from mailqueue.ledger import Settlement
from mailqueue.outcomes import Attempt, Fault, Stage, Status
from mailqueue.privacy import without_addresses
from mailqueue.routing.ways import Way
from mailqueue.smtp.observing import observe
from worker.judging import Group, Judgement, judge
from worker.metrics import meter_for
from worker.pacing import Pacer
from worker.patience import patiently
from worker.policy import Case, Decision, Pause, Rules
from worker.policy_hook import decider
from worker.telling import tell_outcome

logger = logging.getLogger("mailqueue.worker")

#: Attempts that an envelope remembers word by word; the failed store shows them.
_TRIES_KEPT: Final = 20
#: Why a mail is in the failed store, in its words.
_REASONS: Final[dict[Status, failed.Reason]] = {
    Status.BOUNCED: "bounced",
    Status.EXPIRED: "gave up",
    Status.UNKNOWN: "unknown",
}


#: What a priority is worth in a line: so many seconds of waiting.
_WORTH: Final = {"high": -1e9, "normal": 0.0, "bulk": 1e9}


def worth(envelope: Envelope) -> float:
    """What a mail's priority is worth in a line, in seconds of waiting."""
    return _WORTH[envelope.priority]


class Clerk:
    """Keeps the books of one run over one route.

    Args:
        run: Its name (``runs.new_run``).
        way: The way out.
        elsewhere: There is another way, so nothing waits for this one to open.
        line: Where mail waits while no way is open; empty: in this way's own line.
        now: Seconds since the epoch.
        draw: Random numbers in [0, 1).
    """

    def __init__(
        self,
        run: str,
        way: Way,
        *,
        elsewhere: bool = False,
        line: str = "",
        now: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        settings = get_settings()
        self.counts: Counter[str] = Counter()
        #: What the task reports: an id and a reply each, for mail whose sender wants to know.
        self.failures: list[str] = []
        #: Why mail waits; the task shows one of them.
        self.troubles: list[str] = []
        self._run = run
        self._route = way.name
        self._elsewhere = elsewhere
        self._line = line
        #: Asks the limits.
        self.pacer = Pacer(way)
        self._now = now
        self._draw = draw
        self._rules = Rules(settings.MAILQUEUE_RETRY_SCHEDULE, settings.MAILQUEUE_MAX_AGE)
        self._on_unknown = settings.MAILQUEUE_ON_UNKNOWN
        self._decide = decider(settings.MAILQUEUE_POLICY)
        self._begun = ""
        self._worked = False
        self._meter = meter_for(way.name)
        observe(self._meter)

    def begin(self, envelope: Envelope) -> bool:
        """Mark a message as being handed over; False where another run has it by now."""
        if self._begun == envelope.id:
            return True
        return patiently(lambda: ledger.begin(self._run, envelope.id, envelope.edition))

    def judge(self, envelope: Envelope, attempt: Attempt, recipients: Sequence[str]) -> Judgement:
        """Ask the policy about each fault of an attempt."""
        return judge(
            attempt,
            envelope,
            recipients,
            on_unknown=self._on_unknown,
            decide=self._decide,
            rules=self._rules,
            now=self._now(),
            draw=self._draw(),
        )

    def decide(self, fault: Fault) -> Decision:
        """Ask the policy about a fault that concerns no message."""
        return self._decide(fault, Case(), self._rules, self._draw())

    def settle(self, envelope: Envelope, judgement: Judgement, following: str = "") -> None:
        """Keep, record and tell what became of a message; begin the ``following`` one."""
        tried = Try(self._now(), judgement.detail)
        self._keep_what_failed(envelope, judgement, tried)
        shown = _shown(judgement)
        if judgement.pause is not None:
            self.pause(judgement.pause, shown, envelope.id)
            if self._line:
                patiently(lambda: routes.open_line(self._line))
        waits = judgement.status is Status.DEFERRED
        parked = judgement.pause is not None and not self._elsewhere
        # By another way at once, where there is one.
        delay = 0.0 if judgement.pause is not None else judgement.delay
        if not judgement.untouched:
            self.pacer.sent(envelope.id)
        after = self._after(envelope, judgement, tried) if waits else envelope
        attempts = envelope.attempts + judgement.counts
        self._record(
            Settlement(
                envelope.id,
                envelope.edition,
                judgement.status,
                detail=shown,
                attempts=attempts,
                served=judgement.served,
                failed=sum(
                    len(group.recipients) or _recipients(envelope)
                    for group in judgement.groups
                    if group.status is not Status.DEFERRED
                ),
                document=after.encode() if waits else "",
                delay=worth(envelope) if parked else delay,
                parked=parked,
                line=self._line,
            ),
            following,
            self._meter.attempt(envelope, judgement, _recipients(envelope), self._now())
            if self._meter
            else None,
        )
        if judgement.heard and not self._worked:
            self._worked = True
            patiently(lambda: routes.worked(self._route, envelope.id))
        self.counts[judgement.status] += 1
        if waits:
            self.troubles.append(shown)
        elif judgement.groups and not envelope.fail_silently:
            self.failures.append(f"{envelope.id} {shown}")
        tell_outcome(envelope, judgement, shown, attempts=attempts)

    def pause(self, pause: Pause, reason: str, id_: str) -> None:
        """Pause the route; ``id_`` is the mail that met the trouble."""
        patiently(
            lambda: routes.pause(
                self._route, pause.kind, reason,
                first=pause.first, longest=pause.longest, probe=pause.probe, id_=id_,
            )
        )  # fmt: skip

    def admit(self, envelope: Envelope, recipients: Sequence[str]) -> bool:
        """Ask the limits; False where it waits in a line from now on."""
        line = self.pacer.ask(envelope.id, recipients)
        if line:
            self.park(envelope, f"{line} is at its limit", line)
        return not line

    def wait(self, envelope: Envelope, why: str, *, delay: float = 0.0) -> None:
        """Put a claimed message back that was not tried; it costs no attempt."""
        self._put_back(envelope, why, delay=delay)

    def park(self, envelope: Envelope, why: str, line: str = "") -> None:
        """Put a claimed message into a line, by default its own; it costs no attempt."""
        line = line or self.pacer.line(_addresses(envelope))
        if line == self._line:
            patiently(lambda: routes.open_line(line))
        self._put_back(envelope, why, delay=worth(envelope), parked=True, line=line)

    def schedule(self, envelope: Envelope) -> None:
        """Put a claimed message where it waits for its time."""
        delay = max(0.0, envelope.not_before - self._now())
        self._put_back(envelope, "", Status.SCHEDULED, delay=delay)

    def _put_back(
        self, envelope: Envelope, why: str, status: Status = Status.DEFERRED, **place: Any
    ) -> None:
        after = msgspec.structs.replace(envelope, edition=envelope.edition + 1)
        self._record(
            Settlement(
                envelope.id, envelope.edition, status, detail=without_addresses(why),
                attempts=envelope.attempts, document=after.encode(), **place,
            )
        )  # fmt: skip
        self.counts[status] += 1

    def give_up(self, envelope: Envelope, status: Status, why: str) -> None:
        """Keep a claimed message in the failed store without trying it."""
        fault = Fault(Stage.BUILD, 0, why)
        self.settle(envelope, Judgement(status, groups=(Group(status, (), fault),)))

    def _keep_what_failed(self, envelope: Envelope, judgement: Judgement, tried: Try) -> None:
        for status, usual in _REASONS.items():
            groups = [group for group in judgement.groups if group.status is status]
            if not groups:
                continue
            detail = "; ".join(dict.fromkeys(str(group.fault) for group in groups))
            who = tuple(address for group in groups for address in group.recipients)
            lost = msgspec.structs.replace(
                envelope,
                recipients=who or envelope.recipients,
                attempts=envelope.attempts + judgement.counts,
            )
            # By its sender's wish, not by ours.
            asked = status is Status.EXPIRED and not judgement.counts
            reason: failed.Reason = "expired" if asked else usual
            patiently(partial(failed.keep_message, lost, reason, detail, tried))

    def _after(self, envelope: Envelope, judgement: Judgement, tried: Try) -> Envelope:
        """The envelope for its next attempt: for those who were deferred, and no one else."""
        deferred = [g for g in judgement.groups if g.status is Status.DEFERRED]
        who = tuple(address for group in deferred for address in group.recipients)
        changes: dict[str, Any] = {
            "edition": envelope.edition + 1,
            "recipients": who or envelope.recipients,
            "tries": (*envelope.tries, tried)[-_TRIES_KEPT:],
        }
        if judgement.untouched:
            changes["detours"] = envelope.detours + 1
        if judgement.counts:
            changes["attempts"] = envelope.attempts + 1
            changes["first_attempt_at"] = envelope.first_attempt_at or tried.at
        return msgspec.structs.replace(envelope, **changes)

    def _record(
        self, outcome: Settlement, following: str = "", attempt: Counter[str] | None = None
    ) -> None:
        self._begun = ""
        if self.pacer.has_limits:
            following = ""  # it may have to wait for its place first
        counts = self._meter.counts(attempt) if self._meter else None
        settled, begun = patiently(
            lambda: ledger.settle(self._run, self._route, outcome, following, counts)
        )
        if settled and self._meter:
            self._meter.counted()
        if not settled:
            logger.info(
                "id=%s %s: recorded before, or another run has it", outcome.id, outcome.status
            )
        if begun:
            self._begun = following


def _recipients(envelope: Envelope) -> int:
    """How many it still has."""
    return len(_addresses(envelope))


def _addresses(envelope: Envelope) -> tuple[str, ...]:
    """Those whom it is still for, as they are written."""
    if envelope.recipients is not None:
        return tuple(map(str, envelope.recipients))
    return tuple(map(str, (*envelope.to, *envelope.cc, *envelope.bcc)))


def _shown(judgement: Judgement) -> str:
    """What logs, Flower and the ledger may show: replies without addresses.

    An error about the message itself quotes it; of that, the type has to do.
    """
    texts = (
        f"{group.fault.text.partition(':')[0]}, explained in the failed store"
        if group.fault.stage is Stage.BUILD and ":" in group.fault.text
        else without_addresses(str(group.fault))
        for group in judgement.groups
    )
    return "; ".join(dict.fromkeys(texts))
