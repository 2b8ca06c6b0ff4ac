"""The parts that several JSON documents of the command line share; docs/cli.md names the keys."""

from typing import Any

from mailqueue.desk.recipients import domains, left
from mailqueue.failed import Failed
from mailqueue.privacy import without_addresses
from mailqueue.routes import Paused


def of_pause(paused: Paused | None) -> dict[str, Any] | None:
    """A route's pause."""
    if paused is None:
        return None
    return {
        "kind": paused.kind, "reason": paused.reason, "since": paused.since, "until": paused.until,
    }  # fmt: skip


def of_failed(entry: Failed) -> dict[str, Any]:
    """An entry of the failed store as a list shows it: without addresses and content."""
    envelope = entry.envelope()
    return {
        "id": entry.id,
        "reason": entry.reason,
        "kept_at": entry.kept_at,
        "enqueued_at": envelope.enqueued_at if envelope else None,
        "attempts": entry.attempts,
        "domains": domains(envelope) if envelope else [],
        "recipients": len(left(envelope)) if envelope else 0,
        "reply": without_addresses(entry.detail),
        "bytes": len(entry.data),
    }
