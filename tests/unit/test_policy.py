import pytest
from support.policy_table import SEEN, Seen

from mailqueue.outcomes import Fault, Stage, Status
from worker.policy import (
    PAUSES,
    RECONNECT,
    SENDER_DELAY,
    Case,
    Kind,
    Reach,
    Rules,
    classify,
    decide,
)

RULES = Rules(schedule=(30.0, 60.0, 300.0), max_age=1000.0)
LATER = Fault(Stage.RECIPIENT, 450, "later")
NEVER = Fault(Stage.CONTENT, 554, "never")
LOST = Fault(Stage.CONTENT, 0, "SMTPServerDisconnected: gone", lost=True)


@pytest.mark.parametrize("seen", SEEN, ids=lambda seen: seen.what)
def test_each_row_of_the_table(seen: Seen) -> None:
    for fault in seen.faults:
        meaning = classify(fault, unknown=seen.unknown)
        assert meaning == (seen.reach, seen.kind), fault
        decision = decide(fault, Case(unknown=seen.unknown), RULES, 0.5)
        assert decision.status is seen.status
        assert decision.counts is seen.counts
        assert decision.connection == seen.connection
        assert decision.pause == PAUSES.get(seen.kind)


@pytest.mark.parametrize(
    ("attempt", "draw", "delay"),
    [
        (1, 0.0, 0.0),
        (1, 0.5, 15.0),
        (2, 0.5, 30.0),
        (3, 0.5, 150.0),
        (9, 0.5, 150.0),  # the last step repeats
        (0, 0.5, 15.0),
        (3, 0.999, 299.7),
    ],
)
def test_a_delay_is_drawn_between_nothing_and_its_step(
    attempt: int, draw: float, delay: float
) -> None:
    assert decide(LATER, Case(attempt), RULES, draw).delay == pytest.approx(delay)


@pytest.mark.parametrize(
    ("case", "status", "delay"),
    [
        (Case(3, age=999.0), Status.DEFERRED, 1.0),  # the last try falls at max_age
        (Case(3, age=1000.0), Status.EXPIRED, 0.0),
        (Case(3, age=5000.0), Status.EXPIRED, 0.0),
        (Case(3, age=10.0, expires_in=7.0), Status.DEFERRED, 7.0),
        (Case(3, age=10.0, expires_in=0.0), Status.EXPIRED, 0.0),
        (Case(3, age=10.0, expires_in=-5.0), Status.EXPIRED, 0.0),
        (Case(3, age=10.0, expires_in=500.0), Status.DEFERRED, 150.0),
    ],
)
def test_time_runs_out(case: Case, status: Status, delay: float) -> None:
    decision = decide(LATER, case, RULES, 0.5)
    assert (decision.status, decision.delay, decision.counts) == (status, delay, True)


@pytest.mark.parametrize(
    ("case", "status"),
    [
        (Case(unknown=True), Status.DEFERRED),
        (Case(unknown=True, on_unknown="hold"), Status.UNKNOWN),
        # Somebody may have taken it: not "expired", which says that nobody did.
        (Case(unknown=True, age=1000.0), Status.UNKNOWN),
        (Case(unknown=True, expires_in=0.0), Status.UNKNOWN),
    ],
)
def test_what_nobody_can_know_is_sent_again_or_held(case: Case, status: Status) -> None:
    decision = decide(LOST, case, RULES, 0.5)
    assert (decision.status, decision.connection, decision.counts) == (status, "reopen", True)


def test_a_message_refused_when_its_time_is_over_has_bounced() -> None:
    assert decide(NEVER, Case(age=5000.0), RULES, 0.5).status is Status.BOUNCED


@pytest.mark.parametrize(
    ("fault", "connection"),
    [
        (NEVER, "keep"),
        (NEVER._replace(lost=True), "reopen"),
        (LATER, "keep"),
        (Fault(Stage.RECIPIENT, 503, "5.5.1 bad sequence"), "reopen"),
        (Fault(Stage.SENDER, 500, "unrecognised"), "reopen"),
        (Fault(Stage.DATA, 250, "what?"), "reopen"),
        (Fault(Stage.DATA, -1, ""), "reopen"),
        (Fault(Stage.DATA, 600, ""), "reopen"),
        (Fault(Stage.BUILD, 0, "ValueError: x"), "keep"),
        (Fault(Stage.BACKEND, 200, "odd"), "keep"),
        (Fault(Stage.BACKEND, 0, "OSError: x", lost=True), "reopen"),
    ],
    ids=str,
)
def test_whether_the_rest_goes_on_on_the_same_connection(fault: Fault, connection: str) -> None:
    assert decide(fault, Case(), RULES, 0.5).connection == connection


@pytest.mark.parametrize(
    ("words", "reach", "kind"),
    [
        ("ValueError: x", Reach.MESSAGE, Kind.PERMANENT),
        ("TypeError", Reach.MESSAGE, Kind.PERMANENT),
        ("UnicodeEncodeError: x", Reach.MESSAGE, Kind.PERMANENT),
        ("RecursionError: x", Reach.MESSAGE, Kind.PERMANENT),
        ("AddressNotSupportedError: x", Reach.MESSAGE, Kind.PERMANENT),
        ("print: a function's name", Reach.MESSAGE, Kind.PERMANENT),
        ("", Reach.MESSAGE, Kind.PERMANENT),
        # What may be mended under the same message:
        ("MemoryError: x", Reach.MESSAGE, Kind.TEMPORARY),
        ("FileNotFoundError: x", Reach.MESSAGE, Kind.TEMPORARY),
        ("OSError: disk full", Reach.MESSAGE, Kind.TEMPORARY),
        ("ModuleNotFoundError: No module named 'django'", Reach.MESSAGE, Kind.TEMPORARY),
        ("ConfigurationError: EMAIL_HOST", Reach.ACCOUNT, Kind.LOGIN),
        ("EmbeddedError: x", Reach.ACCOUNT, Kind.LOGIN),
    ],
)
def test_what_cannot_be_built(words: str, reach: Reach, kind: Kind) -> None:
    assert classify(Fault(Stage.BUILD, 0, words)) == (reach, kind)


@pytest.mark.parametrize("kind", list(PAUSES))
def test_mail_waits_for_its_route_s_pause_to_end(kind: Kind) -> None:
    said = {Kind.RATE: 429, Kind.QUOTA: 402, Kind.LOGIN: 401}
    fault = (
        Fault(Stage.BACKEND, said[kind])
        if kind in said
        else Fault(Stage.SENDER, 432, "4.3.2 Concurrent connections limit exceeded")
    )
    first = PAUSES[kind].first
    assert decide(fault, Case(), RULES, 0.0).delay == first
    assert first < decide(fault, Case(), RULES, 0.9).delay < 2 * first
    assert decide(fault, Case(age=1e9), RULES, 0.5).status is Status.DEFERRED


def test_pauses_are_doubled_up_to_a_limit_and_probe_where_a_person_has_to_act() -> None:
    assert {kind: pause[1:] for kind, pause in PAUSES.items()} == {
        Kind.RATE: (2.0, 30.0, False),
        Kind.CONCURRENCY: (5.0, 60.0, False),
        Kind.QUOTA: (900.0, 3600.0, True),
        Kind.LOGIN: (60.0, 900.0, True),
    }


def test_delays_of_what_is_not_counted() -> None:
    away = Fault(Stage.CONNECT, 0, "ConnectionRefusedError", lost=True)
    assert decide(away, Case(), RULES, 0.0).delay == RECONNECT[0]
    assert decide(away, Case(), RULES, 0.5).delay == sum(RECONNECT) / 2
    sender = Fault(Stage.SENDER, 550, "5.7.60 no permissions to send as this sender")
    assert decide(sender, Case(), RULES, 0.0).delay == SENDER_DELAY
    assert decide(sender, Case(expires_in=3.0), RULES, 0.0).delay == 3.0
    assert decide(away, Case(expires_in=-3.0), RULES, 0.0).delay == 0.0
