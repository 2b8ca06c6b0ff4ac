from hypothesis import example, given
from hypothesis import strategies as st
from support.reply_corpus import REPLIES

from mailqueue.outcomes import Fault, Stage, Status
from worker.policy import Case, Kind, Reach, Rules, classify, decide

SECONDS = st.floats(0, 1e7, allow_nan=False)
CODES = st.one_of(st.integers(-1, 1000), st.sampled_from([0, 421, 450, 452, 454, 530, 535, 550]))
TEXTS = st.one_of(st.text(max_size=80), st.sampled_from([reply.text for reply in REPLIES]))
FAULTS = st.builds(Fault, st.sampled_from(Stage), CODES, TEXTS, st.booleans())
CASES = st.builds(
    Case,
    st.integers(0, 99),
    SECONDS,
    st.none() | st.floats(-1e7, 1e7, allow_nan=False),
    st.booleans(),
    st.sampled_from(["resend", "hold"]),
)
RULES = st.builds(
    Rules,
    st.lists(st.floats(0.001, 1e6), min_size=1, max_size=8).map(tuple),
    st.floats(0.001, 1e7),
)
DRAWS = st.floats(0, 1, exclude_max=True)


@given(FAULTS, CASES, RULES, DRAWS)
@example(Fault(Stage.CONTENT, 550, "x" * 1000), Case(), Rules((1.0,), 1.0), 0.0)
def test_there_is_a_decision_for_everything(
    fault: Fault, case: Case, rules: Rules, draw: float
) -> None:
    decision = decide(fault, case, rules, draw)
    assert decision.status in {Status.BOUNCED, Status.DEFERRED, Status.EXPIRED, Status.UNKNOWN}
    assert decision.delay >= 0
    if decision.counts and decision.status is Status.DEFERRED:
        assert case.age + decision.delay <= rules.max_age * (1 + 1e-9)
        assert decision.delay <= max(rules.schedule)
    if case.expires_in is not None and decision.status is Status.DEFERRED:
        assert decision.delay <= max(0.0, case.expires_in)
    if not decision.counts:  # nothing ends by what was not its own fault
        assert decision.status is Status.DEFERRED
    if decision.status is not Status.DEFERRED:
        assert decision.delay == 0
    assert (decision.pause is None) == (decision.connection != "stop")


@given(FAULTS, CASES, RULES, DRAWS, DRAWS)
def test_a_larger_draw_never_means_a_shorter_delay(
    fault: Fault, case: Case, rules: Rules, one: float, other: float
) -> None:
    less, more = sorted([one, other])
    first, second = decide(fault, case, rules, less), decide(fault, case, rules, more)
    assert first.delay <= second.delay
    assert first._replace(delay=0) == second._replace(delay=0)


@given(FAULTS)
def test_only_a_reply_that_says_so_is_permanent(fault: Fault) -> None:
    reach, kind = classify(fault)
    if kind is Kind.PERMANENT:
        assert reach in {Reach.RECIPIENT, Reach.MESSAGE}
        if fault.stage is Stage.BUILD:
            assert not fault.code or fault.code // 100 == 5
        elif fault.stage is Stage.BACKEND:  # an API's codes
            assert fault.code // 100 in {4, 5}
        else:
            assert fault.code // 100 == 5
    if fault.code == 421:
        assert kind is not Kind.PERMANENT
    assert (reach is Reach.RECIPIENT) <= (fault.stage is Stage.RECIPIENT)
    if fault.stage in {Stage.CONNECT, Stage.LOGIN}:  # no message was at hand
        assert reach in {Reach.CONNECTION, Reach.ACCOUNT}


@given(FAULTS)
def test_what_is_unknown_is_so_whatever_was_said(fault: Fault) -> None:
    assert classify(fault, unknown=True) == (Reach.MESSAGE, Kind.UNKNOWN) or (
        fault.stage is Stage.RECIPIENT
    )


@given(st.sampled_from([s for s in Stage if s is not Stage.BACKEND]), st.text(max_size=1000))
def test_an_address_alone_decides_nothing(stage: Stage, text: str) -> None:
    """What a recipient is called must not pause anybody's route."""
    inner = text.replace("<", "").replace(">", "")
    fault = Fault(stage, 550, f"5.1.1 <{inner}>: no such user")
    assert classify(fault) == classify(Fault(stage, 550, "5.1.1 <>: no such user"))
