"""What a fault means, and what to do about it. Two pure functions and this table.

| seen                                               | reach, kind           | what is done       |
| -------------------------------------------------- | --------------------- | ------------------ |
| 4xx at RCPT; 4xx at MAIL, DATA or after the dot    | recipient or message, | deferred, an       |
|                                                    | temporary             | attempt is counted |
| 5xx likewise; a message that cannot be built       | …, permanent          | bounced            |
| lost after the final dot, before the reply         | message, unknown      | deferred (counted) |
|                                                    |                       | or held            |
| no connection, DNS, TLS; lost before the dot; 421  | connection, away      | deferred, on a new |
| 4.3.2; "maximum message count per session"         | connection, session   | connection; if new |
|                                                    |                       | ones break at one  |
|                                                    |                       | mail, it counts    |
| too many connections at once                       | account, concurrency  | deferred, and the  |
| sending too fast                                   | account, rate         | route pauses: 5,   |
| a limit of the day or the account, in any code     | account, quota        | 2, 900 or 60 s at  |
| 530, 534, 535, 538; AUTH refused; a wrong setting  | account, login        | first              |
| a sender that is not set up (5.7.60, not verified) | account, sender       | deferred, 900 s    |

Time is counted, not attempts: a deferred mail is given up (expired) once it is ``max_age`` old.
Trouble of connection or account reach counts for nothing: a server that is away, or a password
that was changed, must not empty the queue into the failed store.

Sentences of providers are data in ``replies.py``. This module knows neither Celery nor Redis,
neither clocks nor chance: ages come in seconds, and so does the random draw.
"""

import builtins
import re
from typing import Final, Literal, NamedTuple

from mailqueue.outcomes import Fault, Stage, Status
from worker import replies
from worker.replies import Kind, Meaning, Reach

__all__ = [
    "Case",
    "Decision",
    "Kind",
    "Meaning",
    "Pause",
    "Reach",
    "Rules",
    "classify",
    "decide",
    "decide_meaning",
]


class Case(NamedTuple):
    """What else a decision depends on."""

    #: This attempt's number, from 1, if it counts.
    attempt: int = 1
    #: Seconds since the first counted attempt.
    age: float = 0.0
    #: Seconds until the caller's own expiry.
    expires_in: float | None = None
    #: Connections in a row that were new and broke at this very message.
    detours: int = 0
    #: ``Attempt.unknown``.
    unknown: bool = False
    on_unknown: Literal["resend", "hold"] = "resend"


class Rules(NamedTuple):
    """The settings that bear on it, in seconds."""

    #: ``MAILQUEUE_RETRY_SCHEDULE``; at least one.
    schedule: tuple[float, ...]
    #: ``MAILQUEUE_MAX_AGE``
    max_age: float


class Pause(NamedTuple):
    """A halt of the whole route. Its seconds are doubled each time, up to ``longest``."""

    kind: Kind
    first: float
    longest: float
    #: Ends by one mail that is tried; otherwise simply by time.
    probe: bool


class Decision(NamedTuple):
    """What to do with the mail, its connection and its route."""

    #: BOUNCED; DEFERRED; EXPIRED (given up by age); UNKNOWN (held for a person).
    status: Status
    #: Seconds until the next attempt.
    delay: float = 0.0
    #: An attempt of the message.
    counts: bool = False
    #: Whether the rest of the batch goes on: on this connection, on a new one, or not now.
    connection: Literal["keep", "reopen", "stop"] = "keep"
    pause: Pause | None = None


#: Where a person has to act (a password, a limit) one mail is tried at the end of each pause;
#: where time heals, nothing is tried.
PAUSES: Final = {
    kind: Pause(kind, first, longest, probe)
    for kind, first, longest, probe in (
        (Kind.RATE, 2.0, 30.0, False),
        (Kind.CONCURRENCY, 5.0, 60.0, False),
        (Kind.QUOTA, 900.0, 3600.0, True),
        (Kind.LOGIN, 60.0, 900.0, True),
    )
}
#: Seconds until another connection is tried, at least and at the most.
RECONNECT: Final = (5.0, 15.0)
#: New connections that may break at one message, each after twice the time of the one before, until
#: it counts as the message's own trouble: there are filters that hang up on what they dislike.
DETOURS: Final = 8
#: Seconds, up to twice as many, for a sender that is not allowed.
SENDER_DELAY: Final = 900.0

_CLOSING: Final = 421
#: RFC 4954, 6; 538 is its predecessor's.
_LOGIN_CODES: Final = frozenset({530, 534, 535, 538})
_TRANSITION: Final = 432  # RFC 4954, 4.7.12: the password must be set anew
#: Command unknown, and bad sequence: the dialogue is out of step, which no message is to blame for.
_OUT_OF_STEP: Final = frozenset({500, 503})
_LOWEST_FAILURE: Final = 400
_BEYOND_REPLIES: Final = 600
_ADDRESS: Final = re.compile(r"<[^<>]*>")
_TYPE: Final = re.compile(r"\w+(?=:|$)")


def classify(fault: Fault, *, unknown: bool = False) -> Meaning:
    """Say whose trouble it is and of what sort.

    Args:
        fault: What was seen.
        unknown: The content had been handed over, and its reply was never seen.
    """
    if unknown:
        return replies.UNKNOWN
    meaning = _by_words(fault) or (_by_code(fault) if fault.code else _without_reply(fault))
    if meaning.reach is Reach.MESSAGE and fault.stage is Stage.RECIPIENT:
        return meaning._replace(reach=Reach.RECIPIENT)
    return meaning


def decide(fault: Fault, case: Case, rules: Rules, draw: float) -> Decision:
    """Say what to do.

    Args:
        fault: What was seen.
        case: The mail's circumstances.
        rules: The settings.
        draw: A random number, 0 <= draw < 1, which spreads mails that failed together.
    """
    return decide_meaning(classify(fault, unknown=case.unknown), fault, case, rules, draw)


def decide_meaning(  # noqa: PLR0911 - one return for each row
    meaning: Meaning, fault: Fault, case: Case, rules: Rules, draw: float
) -> Decision:
    """Say what to do about a fault whose meaning is known."""
    if meaning.kind in PAUSES:
        pause = PAUSES[meaning.kind]
        delay = _until_expiry(pause.first * (1 + draw), case)
        return Decision(Status.DEFERRED, delay, connection="stop", pause=pause)
    goes_on: Literal["keep", "reopen"] = "reopen" if _is_unfit(fault) else "keep"
    match meaning.kind:
        case Kind.PERMANENT:
            return Decision(Status.BOUNCED, counts=True, connection=goes_on)
        case Kind.SENDER:
            # Others may send from their addresses meanwhile, so the route does not pause. A person
            # sets the sender up, sooner or later: nothing is counted, only ``expires`` ends it.
            delay = _until_expiry(SENDER_DELAY * (1 + draw), case)
            return Decision(Status.DEFERRED, delay, connection=goes_on)
        case Kind.AWAY | Kind.SESSION if case.detours < DETOURS:
            shortest, longest = RECONNECT
            delay = (shortest + draw * (longest - shortest)) * 2**case.detours
            return Decision(Status.DEFERRED, _until_expiry(delay, case), connection="reopen")
        case Kind.UNKNOWN:
            if case.on_unknown == "hold" or _is_over(case, rules):
                # Not expired even when its time is over: somebody may well have taken it.
                return Decision(Status.UNKNOWN, counts=True, connection="reopen")
            return Decision(Status.DEFERRED, _backoff(case, rules, draw), True, "reopen")
        case _:
            if meaning.kind in {Kind.AWAY, Kind.SESSION}:
                goes_on = "reopen"
            if _is_over(case, rules):
                return Decision(Status.EXPIRED, counts=True, connection=goes_on)
            return Decision(Status.DEFERRED, _backoff(case, rules, draw), True, goes_on)


def _is_over(case: Case, rules: Rules) -> bool:
    return case.age >= rules.max_age or (case.expires_in is not None and case.expires_in <= 0)


def _backoff(case: Case, rules: Rules, draw: float) -> float:
    """Full jitter, but the last try falls at ``max_age`` and none after the caller's expiry."""
    step = rules.schedule[min(max(case.attempt, 1), len(rules.schedule)) - 1]
    return _until_expiry(min(draw * step, rules.max_age - case.age), case)


def _until_expiry(delay: float, case: Case) -> float:
    return delay if case.expires_in is None else max(0.0, min(delay, case.expires_in))


def _is_unfit(fault: Fault) -> bool:
    """Nothing more should be said on this connection."""
    if fault.stage in {Stage.BUILD, Stage.BACKEND} or not fault.code:
        return fault.lost
    return fault.lost or not _is_a_refusal(fault.code) or fault.code in _OUT_OF_STEP


def _is_a_refusal(code: int) -> bool:
    return _LOWEST_FAILURE <= code < _BEYOND_REPLIES


def _by_words(fault: Fault) -> Meaning | None:
    """The meaning of a sentence that is known."""
    if fault.stage is Stage.BUILD or (
        fault.stage is not Stage.BACKEND and not _is_a_refusal(fault.code)
    ):
        return None
    enhanced = fault.enhanced
    words = _ADDRESS.sub("<>", fault.text)
    if enhanced:  # it stands at the beginning of each line of a reply
        words = " ".join(words.replace(enhanced, " ").split())
    deaf = _deaf_reaches(fault.stage, words)
    for row in replies.ROWS:
        if (
            row.meaning.reach not in deaf
            and (not row.codes or fault.code in row.codes or fault.code // 100 in row.codes)
            and (not row.enhanced or enhanced in row.enhanced)
            and (not row.stages or fault.stage in row.stages)
            and (row.text is None or row.text.search(words))
        ):
            return row.meaning
    return None


def _deaf_reaches(stage: Stage, words: str) -> set[Reach]:
    """What such a reply cannot be about."""
    if stage in {Stage.CONNECT, Stage.LOGIN}:
        return {Reach.MESSAGE}  # there is none yet
    return {Reach.ACCOUNT} if replies.QUOTED.search(words) else set()


def _by_code(fault: Fault) -> Meaning:
    code = fault.code
    if fault.stage is Stage.BACKEND:
        by_digit = {4: replies.PERMANENT, 5: replies.AWAY}
        return replies.HTTP.get(code) or by_digit.get(code // 100, replies.TEMPORARY)
    if code == _CLOSING or fault.stage is Stage.CONNECT:
        return replies.AWAY
    if code in _LOGIN_CODES:
        return replies.LOGIN
    if fault.stage is Stage.LOGIN:
        # RFC 4954: 454 says that the server cannot tell at present.
        return replies.LOGIN if code // 100 == 5 or code == _TRANSITION else replies.AWAY  # noqa: PLR2004
    if fault.enhanced == "4.3.2":  # the system takes nothing from the network (RFC 3463, 3.4)
        return replies.SESSION
    is_permanent = code // 100 == 5 and code not in _OUT_OF_STEP  # noqa: PLR2004
    return replies.PERMANENT if is_permanent else replies.TEMPORARY


def _without_reply(fault: Fault) -> Meaning:
    name = _TYPE.match(fault.text)
    kind = getattr(builtins, name[0], None) if name else None
    if name and name[0] in {"ConfigurationError", "EmbeddedError"}:
        return replies.LOGIN  # as with a wrong password, a person has to act, and mail is kept
    if fault.lost or fault.stage is Stage.CONNECT:
        return replies.AWAY
    if fault.stage is Stage.LOGIN:
        return replies.LOGIN
    if fault.stage is Stage.BUILD and not _is_of_the_machine(kind):
        return replies.PERMANENT
    return replies.TEMPORARY


def _is_of_the_machine(kind: object) -> bool:
    """Memory, disks, files, an installation: what may be mended under the same message."""
    return isinstance(kind, type) and issubclass(kind, OSError | MemoryError | ImportError)
