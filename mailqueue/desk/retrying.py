"""Sending once more what is in the failed store.

A retry keeps the mail's id, and begins anew: attempts and age count from zero. It goes through the
schedule, as due now, so that the step out of the failed store is one atomic move within the state
store, and the broker may be away meanwhile.
"""

import time
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec

from mailqueue import ledger
from mailqueue.conf import get_settings
from mailqueue.envelope import Envelope
from mailqueue.failed import Failed, read
from mailqueue.scripts import run_script
from mailqueue.state import get_state, key


class Retried(StrEnum):
    """What came of a retry."""

    RETRIED = "retried"  #: it is due now
    GONE = "gone"  #: somebody else retried or discarded it
    LIVE = "live"  #: it is being tried for other recipients; later
    UNREADABLE = "unreadable"  #: no envelope that this version understands


def retry(entry: Failed, *, change: Callable[[Envelope], Envelope] | None = None) -> Retried:
    """Send an entry's mail once more.

    Args:
        entry: From the failed store.
        change: Corrects the envelope, an address for example.
    """
    envelope = entry.envelope()
    if envelope is None:
        return Retried.UNREADABLE
    if change is not None:
        envelope = change(envelope)
    # Under the entry's name: what could not be decoded once was kept under a digest, and the
    # ledger, the schedule and the envelope must agree on whom they speak of.
    envelope = msgspec.structs.replace(envelope, id=entry.id)
    client: Any = get_state()
    stored = client.hget(key("failed"), entry.id)
    if stored is None or read(entry.id, stored) != entry:
        return Retried.GONE  # another recipient may have been added, who must not be lost
    while True:
        record = ledger.look_up(entry.id)
        known = -1 if record is None else record.edition
        edition = max(known, envelope.edition) + 1
        anew = msgspec.structs.replace(
            envelope, edition=edition, attempts=0, first_attempt_at=0.0, not_before=0.0,
            expires_at=None if _over(envelope) else envelope.expires_at,
        )  # fmt: skip
        word: bytes = run_script(
            "retry",
            [
                key("failed"), key("failed", "by-time"), key("mail", entry.id), key("schedule"),
                key("documents"),
            ],
            [
                entry.id, known, edition, anew.encode(),
                int(get_settings().MAILQUEUE_LEDGER_TTL), stored,
            ],
        )  # fmt: skip
        if word != b"changed":
            return Retried(word.decode())
        latest = client.hget(key("failed"), entry.id)
        if latest != stored:
            return Retried.GONE  # what the caller saw is not what is there


def _over(envelope: Envelope) -> bool:
    """True where it has expired: who retries it all the same wants it sent."""
    return envelope.expires_at is not None and envelope.expires_at <= time.time()
