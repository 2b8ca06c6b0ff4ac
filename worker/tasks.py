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
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from celery import Task
from celery.exceptions import Reject, Retry
from redis.exceptions import RedisError

from mailqueue.batch import describe
from mailqueue.broker import DELIVER
from mailqueue.conf import get_settings
from mailqueue.envelope import Envelope
from mailqueue.errors import DecodeError, DeliveryError
from worker.app import app
from worker.aside import set_aside
from worker.policy import CONNECT_DELAY, MAX_ATTEMPTS, retry_delay
from worker.run import Run, run_batch

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
    run.failures += kwargs.get("failures", []) if envelopes else []
    try:
        run_batch(run)
    except Exception:
        # A fault of ours, or the state store is away: what is not settled goes round again.
        logger.exception("batch broken off; %d messages go back to the queue", len(run.waiting))
        run.again += run.waiting.values()
    try:
        _publish_what_is_left(self, run)
    except Retry:
        raise
    except Exception as error:
        # The broker is away. Better this whole batch again, with what was sent, than any mail lost.
        logger.exception("what is left of the batch could not be queued again")
        raise Reject(reason=type(error).__name__, requeue=True) from error
    if run.failures:
        raise DeliveryError(_failure_text(run.failures))
    return dict(run.counts)


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
    failures = kwargs.get("failures", [])
    if (
        len(args) != 1
        or not isinstance(args[0], list)
        or kwargs.keys() - {"failures"}
        or not (isinstance(failures, list) and all(isinstance(text, str) for text in failures))
    ):
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
        # Not ``countdown=``: on RabbitMQ Celery would look for native delayed delivery, and warn of
        # its absence each time. The header is what becomes of it, and what workers read.
        headers={"eta": _in(delay)} if delay else {},
        queue=get_settings().MAILQUEUE_QUEUE,
        argsrepr=describe([e.id for e in envelopes], sum(map(len, documents))),
        kwargsrepr="{}",
    )


def _in(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def _failure_text(failures: list[str]) -> str:
    shown = "; ".join(failures[:_FAILURES_SHOWN])
    more = len(failures) - _FAILURES_SHOWN
    rest = f"; and {more} more" if more > 0 else ""
    return f"{len(failures)} messages not sent: {shown}{rest}"
