"""What becomes of a batch that somebody revokes or terminates, in Flower or by ``celery control``.

Celery acknowledges such a task, and it is gone. Its mail is not: what was not sent is kept in the
failed store, from where a person sends it or discards it. The ledger says ``cancelled`` of it, and
``unknown`` of the one that a terminated process was handing over.
"""

import logging
from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from typing import Final

from mailqueue import failed, ledger, routes
from mailqueue.envelope import Envelope
from mailqueue.errors import DecodeError
from mailqueue.ledger import Settlement, Verdict, Wanted
from mailqueue.outcomes import Status
from mailqueue.runs import new_run
from worker.aside import set_aside

logger = logging.getLogger("mailqueue.worker")

#: A route that is never paused: what is kept need not wait for one.
_NO_ROUTE: Final = ""


def keep_revoked(documents: object, why: str, *, begun: bool = False) -> Counter[str]:
    """Keep what was not sent of a batch; nobody works on it any more.

    Args:
        documents: The task's argument, a list of envelopes.
        why: What was done, for a person.
        begun: It was broken off: what its process put back untried is taken back as well.

    Returns:
        How many mails came to what. A mail that another worker has is ``waiting``: its copy here
        is looked at once that worker is done.

    Raises:
        RedisError: The state store does not answer. To call it again does no harm.
    """
    envelopes = list(_read(documents, why))
    counts: Counter[str] = Counter()
    run = new_run(len(envelopes))
    try:
        for route, group in groupby(sorted(envelopes, key=lambda e: e.route), lambda e: e.route):
            batch = list(group)
            # As if a worker died over each: whether it was sent then is a person's to find out.
            wanted = [Wanted(e.id, e.edition, hold=True) for e in batch]
            verdicts = ledger.claim(run, _NO_ROUTE, wanted)
            for envelope, verdict in zip(batch, verdicts, strict=True):
                if verdict is Verdict.OVER and begun and _take_back(envelope, why):
                    counts[Status.CANCELLED] += 1
                else:
                    counts[_keep(run, route, envelope, verdict, why)] += 1
    finally:
        ledger.finish(run)
    told = ", ".join(f"{count} {word}" for word, count in sorted(counts.items())) or "no mail"
    logger.warning("%s: %s", why, told)
    return counts


def _read(documents: object, why: str) -> Iterable[Envelope]:
    if not isinstance(documents, list):
        set_aside(documents, why)
        return
    seen: dict[str, Envelope] = {}
    for document in documents:
        try:
            envelope = Envelope.decode(document)
        except DecodeError as error:
            set_aside(document, f"{why}; {error}")
            continue
        if envelope.id not in seen or seen[envelope.id].edition < envelope.edition:
            seen[envelope.id] = envelope
    yield from seen.values()


def _keep(run: str, route: str, envelope: Envelope, verdict: Verdict, why: str) -> str:
    status, detail = Status.CANCELLED, why
    reason: failed.Reason = "revoked"
    match verdict:
        case Verdict.OVER:
            return "skipped"
        case Verdict.BUSY:
            ledger.put_off(
                route, envelope.id, envelope.edition, envelope.encode(),
                delay=ledger.lease_seconds(), parked=False, detail=why,
            )  # fmt: skip
            return "waiting"
        case Verdict.HOLD | Verdict.RESEND | Verdict.POISON:
            status, reason = Status.UNKNOWN, "unknown"
            detail = f"{why} while it was handed over; it may have been sent"
    failed.keep_message(envelope, reason, detail)
    outcome = Settlement(
        envelope.id, envelope.edition, status, detail=detail, attempts=envelope.attempts
    )
    ledger.settle(run, route, outcome)
    logger.info("%s id=%s route=%s: %s", status, envelope.id, envelope.route, detail)
    return str(status)


def _take_back(envelope: Envelope, why: str) -> bool:
    """Take back what the batch's own process put into the schedule, because it had to end.

    What it tried, and what it had kept before for other recipients, goes on as it is.
    """
    record = ledger.look_up(envelope.id)
    if (
        record is None
        or record.status is not Status.DEFERRED
        or (record.edition, record.attempts) != (envelope.edition + 1, envelope.attempts)
        or failed.find(envelope.id)
    ):
        return False
    # First kept, then taken back: a crash in between leaves it in both places, not in none.
    failed.keep_message(envelope, "revoked", why)
    if ledger.cancel(envelope.id, routes.lines()) is not Status.CANCELLED:
        failed.discard([envelope.id])  # another worker has it already
        return False
    logger.info("%s id=%s route=%s: %s", Status.CANCELLED, envelope.id, envelope.route, why)
    return True
