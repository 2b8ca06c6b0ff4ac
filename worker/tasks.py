"""The task ``mailqueue.deliver``: decode, run, and end as Flower is to show it.

How a task ends is the truth about its batch:

- SUCCESS  all mail was sent (or failed with ``fail_silently``: the result counts it);
- RETRY    some mail waits for another attempt, in the schedule; no task comes back for it;
- FAILURE  some mail failed for good, with a ``DeliveryError`` that names ids and replies.
"""

import logging
import time
from typing import Any, Final

from celery import Task
from celery.exceptions import Reject, Retry
from redis.exceptions import RedisError

from mailqueue.broker import DELIVER
from mailqueue.envelope import Envelope
from mailqueue.errors import DecodeError, DeliveryError
from worker import stopping
from worker.app import app
from worker.aside import set_aside
from worker.patience import patiently
from worker.run import Report, run_batch

logger = logging.getLogger("mailqueue.worker")

#: Seconds before a batch that could not be worked on goes back to the queue.
_PAUSE: Final = 1.0
#: Times that a process may die over one and the same batch; the ledger bounds it by message.
_DEATHS: Final = 20
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
    max_retries=_DEATHS,
    default_retry_delay=5,
    Request="worker.request:Request",
)
def deliver(self: Any, *args: Any, **kwargs: Any) -> dict[str, int]:
    """Deliver a batch: a list of envelopes, each a JSON document of its own."""
    del self
    if stopping.is_over():
        raise Reject(reason="the worker is told to stop", requeue=True)
    try:
        with stopping.finishing_the_mail_at_hand():
            report = run_batch(_decoded(args, kwargs))
    except Exception as error:
        # Something is not recorded, so the batch stays in the queue; the ledger knows what is.
        if isinstance(error, RedisError):
            logger.error("the state store is away (%s); the batch stays in the queue", error)  # noqa: TRY400
        else:
            logger.exception("the batch stays in the queue")
        time.sleep(_PAUSE)
        raise Reject(reason=type(error).__name__, requeue=True) from error
    return _end(report)


def _end(report: Report) -> dict[str, int]:
    if report.failures:
        raise DeliveryError(_failure_text(report))
    waiting = report.counts["deferred"] + report.counts["waiting"]
    if waiting:
        raise Retry(f"{_counts(report)}: {report.troubles[0] if report.troubles else 'put back'}")
    return dict(report.counts)


def _decoded(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Envelope]:
    """Read the envelopes; what is none is set aside and the others go on."""
    if len(args) != 1 or not isinstance(args[0], list) or kwargs:
        whole = {"args": args, "kwargs": kwargs}
        patiently(lambda: set_aside(whole, "not a batch: one list of envelopes expected"))
        return []
    envelopes = []
    for document in args[0]:
        try:
            envelopes.append(Envelope.decode(document))
        except DecodeError as error:
            patiently(lambda d=document, e=error: set_aside(d, str(e)))  # type: ignore[misc]
    return envelopes


def _counts(report: Report) -> str:
    return ", ".join(f"{count} {word}" for word, count in sorted(report.counts.items()))


def _failure_text(report: Report) -> str:
    shown = "; ".join(report.failures[:_FAILURES_SHOWN])
    more = len(report.failures) - _FAILURES_SHOWN
    rest = f"; and {more} more" if more > 0 else ""
    return f"{_counts(report)}; not sent: {shown}{rest}"
