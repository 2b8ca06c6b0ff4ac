"""One batch over one connection: what to hand to the backend, and what came of it."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mailqueue.conversion import is_for_django, to_django
from mailqueue.envelope import Envelope
from mailqueue.intake import check_message
from mailqueue.unpacking import unpack_message
from worker.outcomes import Outcome, Status
from worker.policy import describe, is_temporary, judge, reply


def deliver_batch(
    envelopes: Sequence[Envelope],
    connect: Callable[[], Any],
    *,
    budget: float,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[Envelope, Outcome]]:
    """Send envelopes one by one over one connection; yield each outcome as it is known.

    Args:
        envelopes: The batch.
        connect: Makes the delivery backend; any class with Django's interface. It is opened
            once and closed once; after trouble with the connection itself the rest of the batch
            is left untried, for it would meet the same trouble.
        budget: Seconds after which no further message is begun.
        clock: Seconds that only grow.
    """
    stop_at = clock() + budget
    waiting = list(envelopes)
    backend: Any = None
    try:
        try:
            backend = connect()
            # open() returns False where it was open, and None where it failed in silence.
            backend.open()
        except Exception as error:  # noqa: BLE001 - a backend may raise anything
            # Nobody's fault among these messages: none of them counts an attempt.
            yield from (
                (envelope, Outcome(Status.UNTRIED, describe(error))) for envelope in waiting
            )
            return
        while waiting and clock() < stop_at:
            envelope = waiting.pop(0)
            outcome, usable = _send(envelope, backend)
            yield envelope, outcome
            if not usable:
                break
        yield from ((envelope, Outcome(Status.UNTRIED)) for envelope in waiting)
    finally:
        if backend is not None:
            _close(backend)


def _send(envelope: Envelope, backend: Any) -> tuple[Outcome, bool]:
    try:
        message = unpack_message(envelope)
        check_message(message)
        if is_for_django(backend):
            message = to_django(message)
        count = backend.send_messages([message])
    except Exception as error:  # noqa: BLE001 - judged, never swallowed
        return judge(error)
    refused = getattr(backend, "refused", None)
    if refused:
        return _partly(refused), True
    if not count:
        # A backend that reports failure by its count only; nothing says that it is for good.
        return Outcome(Status.DEFERRED, "the backend sent nothing and gave no reason"), True
    return Outcome(Status.SENT), True


def _partly(refused: Any) -> Outcome:
    """Some recipients were refused and the others served."""
    _, replies = refused[0]
    detail = "; ".join(reply(code, text) for code, text in replies.values())
    temporary = any(is_temporary(code) for code, _ in replies.values())
    status = Status.DEFERRED if temporary else Status.BOUNCED
    return Outcome(status, detail, recipients=tuple(replies))


def _close(backend: Any) -> None:
    # Outcomes are known by now; a bad goodbye changes none of them.
    with contextlib.suppress(Exception):
        backend.close()
