"""From an attempt to what becomes of a mail: each fault is decided on, and summed up by message.

Pure, like the policy that it asks: time and the random draw are given.
"""

from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

from mailqueue.envelope import Envelope
from mailqueue.outcomes import Attempt, Fault, Stage, Status
from worker.policy import Case, Decision, Pause, Rules

Decide = Callable[[Fault, Case, Rules, float], Decision]

#: Where a fault is a server's reply about the message.
_SPOKEN: Final = frozenset({Stage.SENDER, Stage.RECIPIENT, Stage.DATA, Stage.CONTENT})
_HARDEST_FIRST: Final = ("stop", "reopen", "keep")
#: What the message's own status says where its recipients fared differently.
_SUMMARY: Final = (Status.DEFERRED, Status.BOUNCED, Status.EXPIRED, Status.UNKNOWN)


class Group(NamedTuple):
    """Recipients who fare alike, and why."""

    status: Status
    #: Empty: all that the message has.
    recipients: tuple[str, ...]
    fault: Fault


class Judgement(NamedTuple):
    """What becomes of a message after one attempt."""

    status: Status
    #: Recipients that the server took the message for.
    served: int = 0
    #: Those who were not served.
    groups: tuple[Group, ...] = ()
    #: Seconds until the next attempt, where some are deferred.
    delay: float = 0.0
    #: The attempt counts.
    counts: bool = False
    #: ``keep``, ``reopen`` or ``stop``: how the rest of the batch goes on.
    connection: str = "keep"
    pause: Pause | None = None

    @property
    def untouched(self) -> bool:
        """True where nothing came of it for the message: the trouble was the connection's."""
        return (
            self.status is Status.DEFERRED
            and self.connection == "reopen"
            and not (self.counts or self.served)
            and len(self.groups) == 1
            and not self.groups[0].recipients
        )

    @property
    def heard(self) -> bool:
        """True where the server took the message, or spoke about it and nothing else.

        Then the way to it is open: it could be reached, and let us in.
        """
        stages = {group.fault.stage for group in self.groups}
        return bool(self.served) or (
            self.connection == "keep" and self.pause is None and stages <= _SPOKEN
        )

    @property
    def detail(self) -> str:
        """All replies, each once."""
        return "; ".join(dict.fromkeys(str(group.fault) for group in self.groups))


def judge(
    attempt: Attempt,
    envelope: Envelope,
    recipients: Sequence[str],
    *,
    decide: Decide,
    rules: Rules,
    now: float,
    draw: float,
    on_unknown: Literal["resend", "hold"] = "resend",
) -> Judgement:
    """Decide on each fault of an attempt.

    Args:
        attempt: What came of it.
        envelope: Of the message.
        recipients: All that the message went to.
        decide: The policy.
        rules: Its settings.
        now: Seconds since the epoch.
        draw: A random number in [0, 1).
        on_unknown: What to do where the envelope does not say it.
    """
    case = Case(
        attempt=envelope.attempts + 1,
        age=now - envelope.first_attempt_at if envelope.first_attempt_at else 0.0,
        expires_in=None if envelope.expires_at is None else envelope.expires_at - now,
        detours=envelope.detours,
        on_unknown=envelope.on_unknown or on_unknown,
    )
    faults: list[tuple[tuple[str, ...], Fault, bool]] = [
        ((address,), fault, False) for address, fault in attempt.refused
    ]
    if attempt.fault is not None:
        refused = {address for address, _ in attempt.refused}
        others = tuple(who for who in recipients if who not in refused) if refused else ()
        faults.append((others, attempt.fault, attempt.unknown))
    if not faults:
        return Judgement(Status.SENT, served=len(recipients))
    decisions = [
        (who, fault, decide(fault, case._replace(unknown=unknown), rules, draw))
        for who, fault, unknown in faults
    ]
    groups = tuple(Group(decision.status, who, fault) for who, fault, decision in decisions)
    deferred = [d for _, _, d in decisions if d.status is Status.DEFERRED]
    lost = any(fault.lost for _, fault, _ in decisions)
    connections = {d.connection for _, _, d in decisions} | ({"reopen"} if lost else set())
    found = {group.status for group in groups}
    return Judgement(
        status=next(status for status in _SUMMARY if status in found),
        served=len(recipients) - len(attempt.refused) if attempt.taken else 0,
        groups=groups,
        delay=max((d.delay for d in deferred), default=0.0),
        counts=any(d.counts for _, _, d in decisions),
        connection=next(word for word in _HARDEST_FIRST if word in connections),
        pause=next((d.pause for _, _, d in decisions if d.pause), None),
    )
