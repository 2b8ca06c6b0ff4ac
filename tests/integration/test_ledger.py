"""The ledger, the schedule and the routes on a real Redis."""

import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from mailqueue import conf, ledger, routes, schedule
from mailqueue.ledger import Settlement, Verdict, Wanted
from mailqueue.outcomes import Status
from mailqueue.runs import new_run
from mailqueue.state import get_state, key

ROUTE = "default"
A, B = "a" * 32, "b" * 32


@pytest.fixture(autouse=True)
def store(redis_settings):
    conf.configure(**redis_settings, MAILQUEUE_VISIBILITY_TIMEOUT=30)


def claim(run: str, *ids: str, edition: int = 0, hold: bool = False) -> list[Verdict]:
    return ledger.claim(run, ROUTE, [Wanted(id_, edition, hold) for id_ in ids])


def settle(run: str, id_: str, status: Status, edition: int = 0, **more: Any) -> bool:
    return ledger.settle(run, ROUTE, Settlement(id_, edition, status, **more))[0]


def die(run: str) -> None:
    """End a run's lease as time would."""
    get_state().zadd(key("runs"), {run: time.time() - 1})


def test_what_is_sent_is_over_for_every_later_copy():
    assert claim("r1", A, B) == [Verdict.GO, Verdict.GO]
    assert ledger.begin("r1", A)
    assert settle("r1", A, Status.SENT, served=1)
    assert claim("r2", A) == [Verdict.OVER]
    record = ledger.look_up(A)
    assert record is not None
    assert (record.status, record.served) == (Status.SENT, 1)


def test_a_copy_that_another_worker_has_is_busy_while_that_one_lives():
    claim("r1", A)
    assert claim("r2", A) == [Verdict.BUSY]
    die("r1")
    assert claim("r2", A) == [Verdict.GO]
    assert not ledger.begin("r1", A), "its claim is lost"
    assert ledger.begin("r2", A)


def test_a_run_whose_process_is_gone_is_not_waited_for():
    gone = subprocess.run(
        [sys.executable, "-c", "from mailqueue.runs import new_run; print(new_run(2))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    claim(gone, A, B)
    ledger.begin(gone, A)
    assert claim(new_run(2), A, B) == [Verdict.RESEND, Verdict.GO]


def test_a_run_whose_process_lives_here_is_waited_for():
    claim(new_run(1), A)
    assert claim(new_run(1), A) == [Verdict.BUSY]


def test_a_run_of_another_machine_is_waited_for():
    claim("elsewhere-1234-5/999999/abc/1", A)
    assert claim(new_run(1), A) == [Verdict.BUSY]


def test_only_what_a_dead_worker_was_handing_over_is_unknown():
    claim("r1", A, B)
    ledger.begin("r1", A)
    die("r1")
    assert claim("r2", A, B) == [Verdict.RESEND, Verdict.GO]


def test_its_sender_can_have_it_held():
    claim("r1", A)
    ledger.begin("r1", A)
    die("r1")
    assert claim("r2", A, hold=True) == [Verdict.HOLD]


def test_a_mail_that_kills_its_workers_is_not_tried_for_ever():
    for number in range(ledger.DEATHS):
        (verdict,) = claim(f"r{number}", A)
        assert verdict is (Verdict.RESEND if number else Verdict.GO)
        ledger.begin(f"r{number}", A)
        die(f"r{number}")
    assert claim("last", A) == [Verdict.POISON]


def test_claiming_again_by_the_same_run_is_harmless():
    """A reply that got lost does not say whether the claim was made."""
    assert claim("r1", A) == claim("r1", A) == [Verdict.GO]
    assert ledger.begin("r1", A)
    assert ledger.begin("r1", A)
    assert settle("r1", A, Status.SENT, served=1)
    assert not settle("r1", A, Status.SENT, served=1)
    assert ledger.totals() == {ROUTE: {"sent": 1}}


def test_settling_begins_the_next_one_in_the_same_step():
    claim("r1", A, B)
    assert ledger.settle("r1", ROUTE, Settlement(A, 0, Status.SENT), B) == (True, True)
    die("r1")
    assert claim("r2", B) == [Verdict.RESEND]


def test_what_is_deferred_waits_and_older_copies_are_over():
    claim("r1", A)
    assert settle("r1", A, Status.DEFERRED, document="{}", delay=0.0, attempts=1)
    assert claim("r2", A) == [Verdict.OVER]
    (waiting,) = schedule.take_due(10, 1000)
    assert (waiting.id, waiting.edition, waiting.document) == (A, 1, "{}")
    assert schedule.take_due(10, 1000) == [], "it is leased"
    schedule.published([waiting])
    assert schedule.find(A) is None
    assert claim("r2", A, edition=1) == [Verdict.GO]


def test_what_was_put_back_meanwhile_is_not_forgotten_when_its_older_copy_was_published():
    claim("r1", A)
    settle("r1", A, Status.DEFERRED, document="{}")
    taken = schedule.take_due(10, 1000)
    claim("r2", A, edition=1)
    settle("r2", A, Status.DEFERRED, edition=1, document="{}", delay=60.0)
    schedule.published(taken)
    found = schedule.find(A)
    assert found is not None
    assert found.edition == 2


def test_a_run_given_up_for_dead_that_sent_after_all_is_believed():
    claim("slow", A)
    ledger.begin("slow", A)
    die("slow")
    claim("r2", A)
    assert settle("slow", A, Status.SENT, served=1)
    assert not ledger.begin("r2", A)
    assert not settle("r2", A, Status.DEFERRED, document="{}")
    assert schedule.find(A) is None


def test_a_run_given_up_for_dead_has_no_other_say():
    claim("slow", A)
    die("slow")
    claim("r2", A)
    assert not settle("slow", A, Status.BOUNCED)
    assert settle("r2", A, Status.SENT, served=1)


def test_a_recipient_refused_earlier_is_not_forgotten_over_one_served_later():
    claim("r1", A)
    settle("r1", A, Status.DEFERRED, served=1, failed=1, document="{}")
    claim("r2", A, edition=1)
    settle("r2", A, Status.SENT, edition=1, served=1)
    record = ledger.look_up(A)
    assert record is not None
    assert (record.status, record.served, record.failed) == (Status.BOUNCED, 2, 1)


def test_a_store_that_forgets_costs_no_mail():
    claim("r1", A, B)
    get_state().flushdb()
    assert ledger.begin("r1", A)
    assert settle("r1", A, Status.SENT, served=1)
    assert settle("r1", B, Status.DEFERRED, document="{}")
    assert claim("r2", A) == [Verdict.OVER]
    assert [waiting.id for waiting in schedule.take_due(10, 1000)] == [B]


def test_cancelling_works_until_a_worker_has_claimed_it():
    assert ledger.cancel(A, [ROUTE]) is Status.CANCELLED
    assert claim("r1", A, B) == [Verdict.OVER, Verdict.GO]
    assert ledger.cancel(B, [ROUTE]) is Status.CLAIMED
    settle("r1", B, Status.DEFERRED, document="{}", delay=60.0)
    assert ledger.cancel(B, [ROUTE]) is Status.CANCELLED
    assert schedule.find(B) is None
    assert claim("r2", B, edition=1) == [Verdict.OVER]


def test_putting_off_a_busy_copy_leaves_the_other_worker_its_claim():
    claim("r1", A)
    ledger.put_off(ROUTE, A, 0, "{}", delay=0.0, parked=False, detail="busy")
    assert settle("r1", A, Status.SENT, served=1)
    assert schedule.find(A) is None, "what was sent waits for nothing"


def test_putting_off_does_not_bring_back_what_is_settled():
    claim("r1", A)
    settle("r1", A, Status.SENT, served=1)
    ledger.put_off(ROUTE, A, 0, "{}", delay=0.0, parked=False, detail="busy")
    assert schedule.find(A) is None


def pause(kind: str = "login", id_: str = "", *, probe: bool = True, first: float = 60.0) -> float:
    return routes.pause(ROUTE, kind, "535 no", first=first, longest=900, probe=probe, id_=id_)


def age_pause() -> None:
    get_state().hset(key("route", ROUTE), "until", time.time() - 1)


def park(id_: str) -> None:
    ledger.put_off(ROUTE, id_, 0, "{}", delay=0.0, parked=True, detail="paused")


def test_while_a_route_is_paused_nothing_is_claimed():
    assert pause() == 60
    assert claim("r1", A) == [Verdict.PAUSED]
    park(A)
    assert routes.parked(ROUTE) == 1
    assert routes.release(ROUTE, 10) == (0, False)
    assert schedule.take_due(10, 1000) == []
    assert routes.resume(ROUTE)
    assert routes.release(ROUTE, 10) == (1, False)
    assert [waiting.id for waiting in schedule.take_due(10, 1000)] == [A]
    assert claim("r1", A) == [Verdict.GO]


def test_a_pause_ends_by_one_mail_that_goes_through():
    pause()
    park(A)
    park(B)
    age_pause()
    assert routes.release(ROUTE, 10) == (1, True)
    assert routes.release(ROUTE, 10) == (0, False), "one at a time"
    (probe,) = schedule.take_due(10, 1000)
    other = B if probe.id == A else A
    assert claim("r1", probe.id, other) == [Verdict.GO, Verdict.PAUSED]
    assert not routes.worked(ROUTE, other), "another connection's success says nothing"
    assert routes.worked(ROUTE, probe.id)
    assert routes.paused(ROUTE) is None
    assert routes.release(ROUTE, 10) == (1, False)


def test_a_probe_that_fails_lengthens_the_pause_and_the_same_news_does_not():
    assert pause(id_=A) == 60
    assert pause(id_=B) == pytest.approx(60, abs=5)
    park(A)
    age_pause()
    routes.release(ROUTE, 10)
    assert routes.is_probe(ROUTE, A)
    assert pause(id_=A) == 120
    found = routes.paused(ROUTE)
    assert found is not None
    assert (found.kind, found.reason) == ("login", "535 no")


def test_a_pause_by_hand_is_ended_by_hand_alone():
    routes.pause_by_hand(ROUTE, "maintenance")
    assert pause() == -1
    found = routes.paused(ROUTE)
    assert found is not None
    assert (found.kind, found.until) == (routes.MANUAL, None)
    park(A)
    assert routes.release(ROUTE, 10) == (0, False)
    assert routes.resume(ROUTE)
    assert not routes.resume(ROUTE)


def test_a_pause_by_time_ends_by_time():
    pause("rate", probe=False, first=0.05)
    assert claim("r1", A) == [Verdict.PAUSED]
    time.sleep(0.1)  # Redis's own clock
    assert claim("r1", A) == [Verdict.GO]


def test_what_is_taken_is_bounded_in_bytes():
    claim("r1", A, B)
    for id_ in (A, B):
        settle("r1", id_, Status.DEFERRED, document="x" * 600)
    assert len(schedule.take_due(10, 500)) == 1
    assert len(schedule.take_due(10, 500)) == 1


@dataclass
class Running:
    """A run of the model: what it has claimed and begun."""

    name: str
    copies: list[tuple[str, int]]
    todo: list[tuple[str, int]]
    begun: str = ""
    handed_over: set[str] = field(default_factory=set)


#: What can happen next; what has to come about for anything to be at stake is named more often.
ACTIONS = (
    ["work"] * 6 + ["take"] * 3 + ["finish", "kill", "stall", "deliver_twice", "poll", "poll_half"]
    + ["poll", "cancel"]
)  # fmt: skip


class Books(RuleBasedStateMachine):
    """Workers that die at any point, a broker that delivers again, pollers that publish twice.

    Whatever happens: no mail is lost, and a mail is handed to the server again only where a worker
    died, or was taken for dead, between handing it over and recording it.

    One rule that draws an action, not a rule an action: Hypothesis would leave out some of them in
    most examples, and it takes all of them for anything to happen here.
    """

    @initialize()
    def empty(self) -> None:
        get_state().flushdb()
        self.ids = [f"{n:032x}" for n in range(4)]
        self.broker = [[(id_, 0) for id_ in pair] for pair in (self.ids[:2], self.ids[2:])]
        self.runs: list[Running] = []
        self.arrived: dict[str, int] = dict.fromkeys(self.ids, 0)
        self.excuses: dict[str, int] = dict.fromkeys(self.ids, 0)
        self.cancelled: set[str] = set()
        self.count = 0

    @rule(data=st.data(), action=st.sampled_from(ACTIONS))
    def step(self, data: st.DataObject, action: str) -> None:
        """Anything that can happen next."""
        if action == "take":
            if self.broker:
                self._take(self.broker.pop(data.draw(st.integers(0, len(self.broker) - 1))))
        elif action.startswith("poll"):
            self._poll(says_so=action == "poll")
        elif action == "cancel":
            id_ = data.draw(st.sampled_from(self.ids))
            if (
                data.draw(st.integers(0, 3)) == 3
                and ledger.cancel(id_, [ROUTE]) is Status.CANCELLED
            ):
                self.cancelled.add(id_)
        elif self.runs:
            run = data.draw(st.sampled_from(self.runs))
            if action == "work":
                taken = data.draw(st.sampled_from([True, True, False]))
                for _ in range(data.draw(st.integers(1, 3))):
                    self._work(run, taken=taken)
            else:
                getattr(self, f"_{action}")(run)

    def _take(self, copies: list[tuple[str, int]]) -> None:
        """A worker takes a batch and claims it; busy copies are put off."""
        self.count += 1
        run = Running(f"run{self.count}", copies, [])
        verdicts = ledger.claim(run.name, ROUTE, [Wanted(*copy) for copy in copies])
        for (id_, edition), verdict in zip(copies, verdicts, strict=True):
            if verdict in {Verdict.GO, Verdict.RESEND, Verdict.POISON}:
                run.todo.append((id_, edition))
            elif verdict is Verdict.BUSY:
                ledger.put_off(ROUTE, id_, edition, "{}", delay=0, parked=False, detail="")
        self.runs.append(run)

    def _work(self, run: Running, *, taken: bool) -> None:
        """Begin a message, which the server may take before anything else happens; or record it."""
        if run.begun:
            id_, edition = run.todo.pop(0)
            run.begun = ""
            sent = id_ in run.handed_over
            status = Status.SENT if sent else Status.DEFERRED
            settle(run.name, id_, status, edition, document="" if sent else "{}")
        elif run.todo:
            id_, _ = run.todo[0]
            if not ledger.begin(run.name, id_):
                run.todo.pop(0)
                return
            run.begun = id_
            if taken:
                self.arrived[id_] += 1
                run.handed_over.add(id_)

    def _finish(self, run: Running) -> None:
        """A worker puts back what it did not begin, and acknowledges its batch."""
        if not run.begun:
            for id_, edition in run.todo:
                settle(run.name, id_, Status.DEFERRED, edition, document="{}")
            ledger.finish(run.name)
            self.runs.remove(run)

    def _kill(self, run: Running) -> None:
        """A worker is killed; its lease runs out, and the broker delivers its batch again."""
        die(run.name)
        if run.begun in run.handed_over:
            self.excuses[run.begun] += 1
        self.broker.append(run.copies)
        self.runs.remove(run)

    def _stall(self, run: Running) -> None:
        """A worker is taken for dead though it goes on: its batch is delivered again."""
        die(run.name)
        if run.begun:
            self.excuses[run.begun] += 1
        self.broker.append(run.copies)

    def _deliver_twice(self, run: Running) -> None:
        """The broker delivers a batch that a living worker has."""
        self.broker.append(list(run.copies))

    def _poll(self, *, says_so: bool) -> None:
        """A poller publishes what is due, and may die before it says so."""
        taken = schedule.take_due(10, 10_000)
        if not taken:
            return
        self.broker.append([(waiting.id, waiting.edition) for waiting in taken])
        if says_so:
            schedule.published(taken)
        else:  # its lease runs out
            get_state().zadd(key("schedule"), {waiting.id: 0 for waiting in taken}, xx=True)

    @invariant()
    def never_twice_without_an_excuse(self) -> None:
        for id_, count in getattr(self, "arrived", {}).items():
            assert count <= 1 + self.excuses[id_], id_

    @invariant()
    def never_lost(self) -> None:
        """Each mail is sent, taken back, at the broker, in a run, or in the schedule."""
        for id_ in getattr(self, "ids", []):
            if self.arrived[id_] or id_ in self.cancelled:
                continue
            record = ledger.look_up(id_)
            edition = record.edition if record else 0
            places = [copy for batch in self.broker for copy in batch]
            places += [copy for run in self.runs for copy in run.copies]
            waiting = schedule.find(id_)
            assert (id_, edition) in places or (waiting and waiting.edition >= edition), id_


def test_books_hold_whatever_happens(redis_server, queue_name):
    url = redis_server.tcp_url.replace("/0", "/9")
    conf.configure(MAILQUEUE_BROKER_URL=url, MAILQUEUE_REDIS_URL=url, MAILQUEUE_QUEUE=queue_name)
    assert redis.Redis.from_url(url).ping()
    run_state_machine_as_test(
        Books,
        settings=settings(
            max_examples=100,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
