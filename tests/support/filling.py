"""A state store with mail in it, put there by the functions that workers use."""

import base64
import json
import time
from typing import Any

import redis

from mailqueue import failed, ledger
from mailqueue.envelope import VERSION, Envelope
from mailqueue.outcomes import Status

RUN = "host/1/0123456789ab/1"


def name(number: int) -> str:
    """An id."""
    return f"{number:032x}"


def mail(number: int = 1, to: str = "ann@example.com", **fields) -> Envelope:
    defaults: dict[str, Any] = {
        "enqueued_at": time.time() - 600,
        "subject": "A secret subject",
        "body": "A secret body",
        "from_email": "us@example.com",
        "to": (to,),
        "headers": (("Date", "Thu, 01 Jan 2026 00:00:00 +0000"), ("Message-ID", "<1@x>")),
    }
    return Envelope(v=VERSION, id=name(number), **(defaults | fields))


def settle(envelope: Envelope, status: Status, *, route: str = "default", **fields) -> None:
    """Claim a mail and record what came of it."""
    ledger.claim(RUN, route, [ledger.Wanted(envelope.id, envelope.edition)])
    outcome = ledger.Settlement(envelope.id, envelope.edition, status, **fields)
    assert ledger.settle(RUN, route, outcome)[0]
    ledger.finish(RUN)


def waits(envelope: Envelope, delay: float = 300, **fields) -> None:
    """Let a mail wait for another attempt."""
    fields = {"detail": "451 4.7.1 try again later", "attempts": 1} | fields
    settle(
        envelope, Status.DEFERRED, route=envelope.route, document=envelope.encode(), delay=delay,
        **fields,
    )  # fmt: skip


def parks(envelope: Envelope) -> None:
    """Let a mail wait for its route."""
    ledger.put_off(
        envelope.route, envelope.id, envelope.edition, envelope.encode(),
        delay=0, parked=True, detail="its route is paused",
    )  # fmt: skip


def fails(
    envelope: Envelope, reason: failed.Reason = "bounced", detail: str = "550 5.1.1 no such user"
) -> None:
    """Let a mail end in the failed store."""
    failed.keep_message(envelope, reason, detail)
    settle(envelope, Status.BOUNCED, detail=detail, failed=1)


def queued(url: str, queue: str, *envelopes: Envelope) -> None:
    """One batch in a Redis broker's queue, as a producer leaves it."""
    body = base64.b64encode(json.dumps([[[e.encode() for e in envelopes]], {}, {}]).encode())
    headers = {"argsrepr": f"({len(envelopes)} messages, 1.0 kB: …)"}
    redis.Redis.from_url(url).lpush(queue, json.dumps({"body": body.decode(), "headers": headers}))
