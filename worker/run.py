"""One run of the task over its batch: each outcome is acted upon as it is known."""

import logging
from collections import Counter
from dataclasses import dataclass, field

import msgspec

from mailqueue.conf import get_settings
from mailqueue.envelope import Envelope
from mailqueue.failed import Reason, keep_message
from mailqueue.privacy import without_addresses
from mailqueue.sending import get_connection
from worker.delivery import deliver_batch
from worker.outcomes import Outcome, Status
from worker.policy import MAX_ATTEMPTS

logger = logging.getLogger("mailqueue.worker")


@dataclass
class Run:
    """One run of the task: what is settled, and what is left."""

    attempts: int
    #: By id; a message leaves when its outcome has been acted upon.
    waiting: dict[str, Envelope]
    counts: Counter[str] = field(default_factory=Counter)
    #: Deferred: another attempt, later.
    again: list[Envelope] = field(default_factory=list)
    #: Not attempted.
    untried: list[Envelope] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    #: Why nothing could be tried.
    away: str = ""


def run_batch(run: Run) -> None:
    """Send the batch and act on each outcome as it is known."""
    settings = get_settings()
    results = deliver_batch(
        list(run.waiting.values()),
        lambda: get_connection(settings.MAILQUEUE_DELIVERY_BACKEND),
        budget=settings.MAILQUEUE_VISIBILITY_TIMEOUT / 2,
    )
    for envelope, outcome in results:
        _settle(run, envelope, outcome)
        del run.waiting[envelope.id]
        run.counts[outcome.status] += 1
        _log(envelope, outcome)


def _settle(run: Run, envelope: Envelope, outcome: Outcome) -> None:
    if outcome.recipients:
        # The others have it: from here on it is a mail to those that were refused.
        envelope = msgspec.structs.replace(envelope, recipients=outcome.recipients)
        run.waiting[envelope.id] = envelope
    match outcome.status:
        case Status.UNTRIED:
            run.untried.append(envelope)
            run.away = run.away or without_addresses(outcome.detail)
        case Status.DEFERRED if run.attempts < MAX_ATTEMPTS:
            run.again.append(envelope)
        case Status.DEFERRED | Status.BOUNCED:
            reason: Reason = "bounced" if outcome.status is Status.BOUNCED else "gave up"
            keep_message(envelope, reason, outcome.detail, run.attempts)
            if not envelope.fail_silently:
                run.failures.append(f"{envelope.id} {_shown(outcome)}")


def _shown(outcome: Outcome) -> str:
    """What logs and Flower may show: a server's reply without addresses, or why none was asked.

    An error about the message itself quotes it; of that, the type has to do.
    """
    if outcome.status is Status.BOUNCED and not outcome.detail[:3].isdigit():
        return f"{outcome.detail.partition(':')[0]}, explained in the failed store"
    return without_addresses(outcome.detail)


def _log(envelope: Envelope, outcome: Outcome) -> None:
    if outcome.status is Status.SENT:
        logger.debug("sent %s", envelope.id)
    elif outcome.status is not Status.UNTRIED:
        logger.warning("%s %s: %s", outcome.status, envelope.id, _shown(outcome))
