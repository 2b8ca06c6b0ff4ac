import smtplib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
import pytest
from support.clerks import MemoryClerk, deliver

from mailqueue.envelope import Envelope
from mailqueue.message import EmailMessage
from mailqueue.outcomes import Attempt, Fault, Stage, Status
from mailqueue.packing import pack_message
from mailqueue.values import Special
from worker import policy


def envelopes(count: int) -> list[Envelope]:
    return [
        pack_message(EmailMessage(str(number), "b", "a@example.com", ["b@example.com"]))
        for number in range(count)
    ]


class Backend:
    """Notes what is done with it; ``answers`` says by subject what happens instead of sending.

    A list of answers is used up one by one.
    """

    def __init__(self, **answers: Any) -> None:
        self.answers = {name.lstrip("_"): answer for name, answer in answers.items()}
        self.calls: list[str] = []

    def open(self) -> bool:
        self.calls.append("open")
        return True

    def close(self) -> None:
        self.calls.append("close")

    def _answer(self, message: Any) -> Any:
        self.calls.append(message.subject)
        answer = self.answers.get(message.subject, 1)
        if isinstance(answer, list):
            answer = answer.pop(0) if answer else 1
        return answer

    def send_messages(self, messages: list[Any]) -> Any:
        (message,) = messages
        answer = self._answer(message)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Reporting(Backend):
    """Reports by itself; an answer is an ``Attempt`` without its message."""

    def deliver_messages(self, messages: Iterable[Any]) -> Iterator[Attempt]:
        for message in messages:
            answer = self._answer(message)
            if answer == 1:
                yield Attempt(message, taken=True)
                continue
            yield answer._replace(message=message)
            if answer.fault and answer.fault.lost:
                return


LOST = Attempt(None, fault=Fault(Stage.SENDER, 0, "lost", lost=True))
UNKNOWN = Attempt(None, fault=Fault(Stage.CONTENT, 0, "lost", lost=True), unknown=True)


def statuses(judgements: list[Any]) -> list[str]:
    return [judgement.status.value for judgement in judgements]


@pytest.mark.parametrize("kind", [Backend, Reporting])
def test_a_batch_is_sent_in_order_over_one_connection(kind: type[Backend]) -> None:
    backend, batch = kind(), envelopes(3)
    done = deliver(batch, backend)
    assert statuses(done) == ["sent"] * 3
    assert backend.calls == ["open", "0", "1", "2", "close"]
    assert done.clerk.begun == [envelope.id for envelope in batch]
    assert (done.fault, done.left) == (None, [])


@pytest.mark.parametrize("kind", [Backend, Reporting])
def test_a_message_is_settled_before_the_next_one_is_begun(kind: type[Backend]) -> None:
    story: list[str] = []

    class Telling(MemoryClerk):
        def begin(self, envelope: Envelope) -> bool:
            story.append(f"begin {envelope.subject}")
            return super().begin(envelope)

        def settle(self, envelope: Envelope, judgement: Any, following: str = "") -> None:
            story.append(f"settle {envelope.subject}")
            super().settle(envelope, judgement, following)

    deliver(envelopes(2), kind(), clerk=Telling())
    assert story == ["begin 0", "settle 0", "begin 1", "settle 1"]


def test_a_refused_message_does_not_touch_the_others() -> None:
    backend = Backend(_1=smtplib.SMTPDataError(554, b"spam"), _2=RuntimeError("odd"))
    done = deliver(envelopes(4), backend)
    assert statuses(done) == ["sent", "bounced", "deferred", "sent"]
    assert done[1].detail == "554 spam"
    assert backend.calls == ["open", "0", "1", "2", "3", "close"]


def test_what_another_run_has_by_now_is_left_to_it() -> None:
    batch, backend = envelopes(3), Backend()
    done = deliver(batch, backend, clerk=MemoryClerk(lost=[batch[1].id]))
    assert statuses(done) == ["sent", "sent"]
    assert backend.calls == ["open", "0", "2", "close"]
    assert done.left == []


def test_a_connection_that_served_is_opened_again_for_the_message_that_met_its_end() -> None:
    backend = Reporting(_2=[LOST])
    done = deliver(envelopes(4), backend)
    assert statuses(done) == ["sent"] * 4
    assert backend.calls == ["open", "0", "1", "2", "close", "open", "2", "3", "close"]


def test_a_server_that_takes_one_message_a_connection_gets_one_message_a_connection() -> None:
    backend = Reporting(_1=[LOST], _2=[LOST], _3=[LOST])
    assert statuses(deliver(envelopes(4), backend)) == ["sent"] * 4
    assert backend.calls.count("open") == 4


def test_a_message_that_ends_every_connection_is_put_off_and_the_others_go_on() -> None:
    backend = Reporting(_1=[LOST] * 9)
    done = deliver(envelopes(4), backend)
    assert statuses(done) == ["sent", "deferred", "sent", "sent"]
    assert not done[1].counts
    assert backend.calls.count("open") == 3


def test_a_message_that_ended_many_connections_is_the_trouble_itself() -> None:
    batch, backend = envelopes(3), Reporting(_0=[LOST])
    batch[0] = msgspec.structs.replace(batch[0], detours=policy.DETOURS)
    done = deliver(batch, backend)
    assert statuses(done) == ["deferred", "sent", "sent"]
    assert done[0].counts
    assert not done[0].untouched


def test_each_detour_takes_twice_as_long() -> None:
    delays = []
    for detours in range(policy.DETOURS):
        (envelope,) = envelopes(1)
        envelope = msgspec.structs.replace(envelope, detours=detours)
        (judgement,) = deliver([envelope], Reporting(_0=[LOST]))
        assert judgement.untouched
        delays.append(judgement.delay)
    assert delays == [10.0 * 2**detours for detours in range(policy.DETOURS)]


def test_a_server_that_hangs_up_on_everybody_is_left_alone() -> None:
    batch, backend = envelopes(5), Reporting(**{f"_{n}": [LOST] for n in range(5)})
    done = deliver(batch, backend)
    assert statuses(done) == ["deferred", "deferred"]
    assert done.fault == LOST.fault
    assert done.left == [envelope.id for envelope in batch[2:]]


def test_what_nobody_can_know_counts_an_attempt_and_the_rest_goes_over_a_new_connection() -> None:
    backend = Reporting(_1=[UNKNOWN])
    done = deliver(envelopes(3), backend)
    assert statuses(done) == ["sent", "deferred", "sent"]
    assert done[1].counts
    assert backend.calls == ["open", "0", "1", "close", "open", "2", "close"]


def test_a_reply_about_the_account_stops_the_batch_and_pauses_the_route() -> None:
    answer = Attempt(None, fault=Fault(Stage.CONTENT, 454, "4.7.0 Throttling failure: Daily message quota exceeded"))  # fmt: skip # noqa: E501
    batch, backend = envelopes(4), Reporting(_1=answer)
    done = deliver(batch, backend)
    assert statuses(done) == ["sent", "deferred"]
    assert done[1].pause is not None
    assert not done[1].counts
    assert done.left == [envelope.id for envelope in batch[2:]]


def failing(error: Exception) -> Callable[[], Any]:
    def connect() -> Any:
        raise error

    return connect


def test_a_backend_that_cannot_be_made_leaves_everything_untried_and_says_why() -> None:
    batch = envelopes(2)
    done = deliver(batch, connect=failing(ValueError("TLS and SSL")))
    assert done == []
    assert done.fault is not None
    assert "TLS and SSL" in str(done.fault)
    assert done.left == [envelope.id for envelope in batch]


def test_a_connection_that_cannot_be_opened_leaves_everything_untried_and_is_closed() -> None:
    class Unreachable(Backend):
        def open(self) -> bool:
            super().open()
            raise smtplib.SMTPAuthenticationError(535, b"wrong")

    backend = Unreachable()
    done = deliver(envelopes(2), backend)
    assert done.fault is not None
    assert done.fault[:3] == (Stage.LOGIN, 535, "wrong")
    assert len(done.left) == 2
    assert backend.calls == ["open", "close"]


def test_no_message_is_begun_after_the_budget() -> None:
    now = iter([100.0, 100.0, 100.0, 100.0, 105.0, 105.0, 105.0])
    batch, backend = envelopes(4), Backend()
    done = deliver(batch, backend, budget=5.0, clock=lambda: next(now))
    assert statuses(done) == ["sent", "sent"]
    assert done.left == [envelope.id for envelope in batch[2:]]
    assert backend.calls == ["open", "0", "1", "close"]


@pytest.mark.parametrize("count", [0, None])
def test_a_backend_that_sends_nothing_without_a_reason_defers(count: Any) -> None:
    done = deliver(envelopes(2), Backend(_0=count))
    assert statuses(done) == ["deferred", "sent"]
    assert "no reason" in done[0].detail


def test_each_recipient_has_an_outcome_of_its_own() -> None:
    message = EmailMessage("0", "b", "a@example.com", ["x@example.com", "Y <y@example.com>"])
    message.cc = ["z@example.com"]
    refused = (
        ("x@example.com", Fault(Stage.RECIPIENT, 550, "5.1.1 unknown")),
        ("y@example.com", Fault(Stage.RECIPIENT, 450, "4.2.0 greylisted")),
    )
    backend = Reporting(_0=Attempt(None, taken=True, refused=refused))
    (judgement,) = deliver([pack_message(message)], backend)
    assert judgement.status is Status.DEFERRED
    assert judgement.served == 1
    assert [(group.status, group.recipients) for group in judgement.groups] == [
        (Status.BOUNCED, ("x@example.com",)),
        (Status.DEFERRED, ("y@example.com",)),
    ]
    assert judgement.detail == "550 5.1.1 unknown; 450 4.2.0 greylisted"


def test_a_fault_after_some_refusals_concerns_the_others() -> None:
    message = EmailMessage("0", "b", "a@example.com", ["x@example.com", "Y <y@example.com>"])
    answer = Attempt(
        None,
        refused=(("x@example.com", Fault(Stage.RECIPIENT, 550, "unknown")),),
        fault=Fault(Stage.CONTENT, 452, "4.3.1 full"),
    )
    (judgement,) = deliver([pack_message(message)], Reporting(_0=answer))
    assert [(group.status, group.recipients) for group in judgement.groups] == [
        (Status.BOUNCED, ("x@example.com",)),
        (Status.DEFERRED, ("y@example.com",)),
    ]


def test_a_message_that_cannot_be_rebuilt_bounces_alone() -> None:
    batch = envelopes(3)
    batch[1] = msgspec.structs.replace(batch[1], body=Special("surrogates", data=b"\xff"))
    backend = Backend()
    done = deliver(batch, backend)
    by_id = dict(done.clerk.settled)
    assert [by_id[e.id].status.value for e in batch] == ["sent", "bounced", "sent"]
    assert by_id[batch[1].id].detail.startswith("DecodeError")
    assert backend.calls == ["open", "0", "2", "close"]


def test_a_bad_goodbye_changes_no_outcome() -> None:
    class Rude(Backend):
        def close(self) -> None:
            super().close()
            raise OSError("reset")

    backend = Rude()
    assert statuses(deliver(envelopes(2), backend)) == ["sent", "sent"]
    assert backend.calls[-1] == "close"


def test_only_the_remaining_recipients_are_asked_for() -> None:
    seen: list[list[Any]] = []

    class Noting(Backend):
        def send_messages(self, messages: list[Any]) -> Any:
            seen.append(messages[0].recipients())
            return 1

    (envelope,) = envelopes(1)
    deliver([msgspec.structs.replace(envelope, recipients=("left@example.com",))], Noting())
    assert seen == [["left@example.com"]]


def test_an_empty_batch_opens_no_connection() -> None:
    backend = Backend()
    assert deliver([], backend) == []
    assert backend.calls == []
