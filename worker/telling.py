"""One line in the log for each outcome, and the events that an application subscribed to.

The lines are ``word key=value …``: a word to grep for, then ids, counts, domains and replies. No
address, no subject, no content.
"""

import logging
import re
import time
from collections.abc import Iterable
from typing import Any, Final, cast

from mailqueue import events
from mailqueue.addresses import envelope_address
from mailqueue.envelope import Envelope
from mailqueue.errors import DecodeError
from mailqueue.outcomes import Status
from mailqueue.unpacking import recipients_of
from worker.judging import Judgement

logger = logging.getLogger("mailqueue.outcome")

_LEVELS: Final = {Status.SENT: logging.INFO, Status.DEFERRED: logging.INFO}
_DOMAIN: Final = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
_DOMAINS_SHOWN: Final = 3
#: A reply is quoted up to here; the failed store has all of it.
_LONGEST_REPLY: Final = 300


def tell_outcome(envelope: Envelope, judgement: Judgement, shown: str, *, attempts: int) -> None:
    """Log what became of a message, and call whoever wants to know."""
    fields = {
        "id": envelope.id,
        "route": envelope.route,
        "attempts": attempts,
        "age": f"{time.time() - envelope.enqueued_at:.1f}",
    }
    if judgement.groups:
        fields["to"] = ",".join(_domains(judgement, envelope)) or "-"
        fields["reply"] = f'"{shown[:_LONGEST_REPLY]}"'
    if judgement.status is Status.DEFERRED:
        fields["again"] = f"{judgement.delay:.0f}s"
    line = " ".join(f"{name}={value}" for name, value in fields.items())
    level = _LEVELS.get(judgement.status, logging.WARNING)
    logger.log(level, "%s %s", judgement.status, line, extra={"mailqueue": fields})
    if events.wanted():
        for event in _events(envelope, judgement, attempts):
            events.tell(event)


def _events(envelope: Envelope, judgement: Judgement, attempts: int) -> Iterable[events.Event]:
    """One event for those who were served, and one for each group of those who were not."""
    common: dict[str, Any] = {
        "id": envelope.id,
        "message_id": envelope.message_id,
        "route": envelope.route,
    }
    everyone = _everyone(envelope)
    if judgement.served:
        others = {address for group in judgement.groups for address in group.recipients}
        served = tuple(r for r in everyone if r not in others and _bare(r) not in others)
        yield events.Event(name="sent", recipients=served, attempts=attempts, **common)
    for group in judgement.groups:
        yield events.Event(
            name=cast(events.Name, group.status.value),
            recipients=group.recipients or everyone,
            detail=str(group.fault),
            attempts=attempts,
            **common,
        )


def _everyone(envelope: Envelope) -> tuple[str, ...]:
    """All that it still has; nobody where that cannot be read, which must not end the batch."""
    try:
        return tuple(recipients_of(envelope))
    except DecodeError:
        return ()


def _bare(recipient: str) -> str:
    """The bare address; empty for what is none."""
    try:
        return envelope_address(recipient)
    except ValueError:
        return ""


def _domains(judgement: Judgement, envelope: Envelope) -> list[str]:
    """Domains of those who were not served; not of what is no address, which can be any text."""
    who = [address for group in judgement.groups for address in group.recipients]
    found = {_bare(address).rpartition("@")[2] for address in who or _everyone(envelope)}
    return sorted(domain for domain in found if _DOMAIN.fullmatch(domain))[:_DOMAINS_SHOWN]
