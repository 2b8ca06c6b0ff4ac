"""The task ``mailqueue.deliver``: decode, deliver, decide, act.

Order matters: every outcome is acted upon (kept, or published again) before the task ends, and
only its end acknowledges the batch. A crash anywhere in between leaves the batch in the queue.

How a task ends is what Flower shows, and it is true:

- SUCCESS  all mail was sent (or failed with ``fail_silently``: the result counts it);
- RETRY    some mail is deferred and queued again, under the same task id;
- FAILURE  some mail failed for good, with a ``DeliveryError`` that names ids and replies.
"""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from celery import Task
from celery.exceptions import Reject, Retry
from redis.exceptions import RedisError

from mailqueue.batch import describe
from mailqueue.broker import DELIVER
from mailqueue.conf import get_settings
from mailqueue.envelope import Envelope
from mailqueue.errors import DecodeError, DeliveryError
from mailqueue.failed import Reason, keep_message
from mailqueue.privacy import without_addresses
from mailqueue.sending import get_connection
from worker.app import app
from worker.aside import set_aside
from worker.delivery import deliver_batch
from worker.outcomes import Outcome, Status
from worker.policy import CONNECT_DELAY, MAX_ATTEMPTS, retry_delay

logger = logging.getLogger("mailqueue.worker")

#: Seconds before a batch that could not even be looked at goes back to the queue.
_PAUSE: Final = 1.0
#: What a FAILURE names at the most; the failed store has all.
_FAILURES_SHOWN: Final = 20


class Deliver(Task):  # type: ignore[type-arg]  # untyped in its stubs
    """The task's class, which keeps content out of headers."""

    def signature_from_request(self, request: Any = None, *args: Any, **options: Any) -> Any:
        """Celery publishes this for a batch whose process died; its repr would copy the mail."""
        about: Any = request or self.request
        shown = {"argsrepr": about.argsrepr or "", "kwargsrepr": "{}"}
        return super().signature_from_request(request, *args, **(options | shown))


@app.task(
    name=DELIVER,
    base=Deliver,
    bind=True,
    # A batch whose process is killed again and again is not given out for ever.
    retry_on_worker_lost=True,
    max_retries=MAX_ATTEMPTS,
    default_retry_delay=5,
    Request="worker.request:Request",
)
def deliver(self: Any, *args: Any, **kwargs: Any) -> dict[str, int]:
    """Deliver a batch: a list of envelopes, each a JSON document of its own."""
    try:
        envelopes = _decoded(args, kwargs)
    except RedisError as error:
        # Nothing is known to be kept, so the batch stays in the queue.
        logger.error("the state store is away (%s); the batch stays in the queue", error)  # noqa: TRY400
        time.sleep(_PAUSE)
        raise Reject(reason=str(error), requeue=True) from error
    run = Run(attempts=self.request.retries + 1, waiting={e.id: e for e in envelopes})
    run.failures += kwargs.get("failures") or ()
    try:
        _deliver(run)
    except Exception:
        # A fault of ours, or the state store is away: what is not settled goes round again.
        logger.exception("batch broken off; %d messages go back to the queue", len(run.waiting))
        run.again += run.waiting.values()
    _publish_what_is_left(self, run)
    if run.failures:
        raise DeliveryError(_failure_text(run.failures))
    return dict(run.counts)


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


def _deliver(run: Run) -> None:
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


def _publish_what_is_left(task: Any, run: Run) -> None:
    """Queue again what was not settled. Raises ``Retry`` where this task goes on by itself."""
    if run.untried and run.counts.total() == len(run.untried) and not run.again:
        # Nothing could be tried at all. That is the server's state, and costs no attempt.
        _publish(
            task,
            run.untried,
            run.failures,
            delay=CONNECT_DELAY,
            retries=run.attempts - 1,
            same=True,
        )
        text = f"{len(run.untried)} messages wait for the server ({run.away})"
        raise Retry(text, when=_when(CONNECT_DELAY))
    if run.untried:
        # A task of their own: what is wrong with a deferred message must not hold up the rest.
        _publish(task, run.untried, delay=0, retries=run.attempts - 1)
    if run.again:
        delay = retry_delay(run.attempts)
        _publish(task, run.again, run.failures, delay=delay, retries=run.attempts, same=True)
        raise Retry(f"{len(run.again)} messages deferred", when=_when(delay))


def _when(delay: float) -> Any:
    return delay  # Celery's stubs say ``Real``, which no type checker accepts a float for


def _decoded(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Envelope]:
    """Read the envelopes; what is none is set aside and the others go on."""
    if len(args) != 1 or not isinstance(args[0], list) or kwargs.keys() - {"failures"}:
        set_aside({"args": args, "kwargs": kwargs}, "not a batch: one list of envelopes expected")
        return []
    envelopes = []
    for document in args[0]:
        try:
            envelopes.append(Envelope.decode(document))
        except DecodeError as error:
            set_aside(document, str(error))
    return envelopes


def _publish(
    task: Any,
    envelopes: list[Envelope],
    failures: Sequence[str] = (),
    *,
    delay: float,
    retries: int,
    same: bool = False,
) -> None:
    """Publish what is left as a task again.

    Celery's ``Task.retry`` is not used: it would put the payload's repr into headers and Flower.
    """
    documents = [envelope.encode() for envelope in envelopes]
    task.app.send_task(
        DELIVER,
        args=(documents,),
        kwargs={"failures": list(failures[:_FAILURES_SHOWN])} if failures else {},
        task_id=task.request.id if same else None,
        retries=retries,
        countdown=delay or None,
        queue=get_settings().MAILQUEUE_QUEUE,
        argsrepr=describe([e.id for e in envelopes], sum(map(len, documents))),
        kwargsrepr="{}",
    )


def _failure_text(failures: list[str]) -> str:
    shown = "; ".join(failures[:_FAILURES_SHOWN])
    more = len(failures) - _FAILURES_SHOWN
    rest = f"; and {more} more" if more > 0 else ""
    return f"{len(failures)} messages not sent: {shown}{rest}"


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
