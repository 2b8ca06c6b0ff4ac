import smtplib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from mailqueue.envelope import Envelope
from mailqueue.message import EmailMessage
from mailqueue.packing import pack_message
from mailqueue.values import Special
from worker.delivery import deliver_batch
from worker.outcomes import Outcome, Status


def envelopes(count: int) -> list[Envelope]:
    return [
        pack_message(EmailMessage(str(number), "b", "a@example.com", ["b@example.com"]))
        for number in range(count)
    ]


class Backend:
    """Notes what is done with it; ``answers`` says by subject what happens instead of sending."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {name.lstrip("_"): answer for name, answer in answers.items()}
        self.calls: list[str] = []

    def open(self) -> bool:
        self.calls.append("open")
        return True

    def close(self) -> None:
        self.calls.append("close")

    def send_messages(self, messages: list[Any]) -> Any:
        (message,) = messages
        self.calls.append(message.subject)
        answer = self.answers.get(message.subject, 1)
        if isinstance(answer, Exception):
            raise answer
        return answer


def deliver(batch: list[Envelope], backend: Any, **kwargs: Any) -> list[Outcome]:
    results = list(deliver_batch(batch, lambda: backend, **{"budget": 60.0} | kwargs))
    assert [envelope for envelope, _ in results] == batch  # each once, in order
    return [outcome for _, outcome in results]


def statuses(outcomes: list[Outcome]) -> list[str]:
    return [outcome.status.value for outcome in outcomes]


def test_a_batch_is_sent_in_order_over_one_connection() -> None:
    backend = Backend()
    assert deliver(envelopes(3), backend) == [Outcome(Status.SENT)] * 3
    assert backend.calls == ["open", "0", "1", "2", "close"]


def test_an_outcome_is_known_before_the_next_message_is_sent() -> None:
    backend = Backend()
    results = deliver_batch(envelopes(2), lambda: backend, budget=60)
    next(results)
    assert backend.calls == ["open", "0"]
    results.close()  # type: ignore[attr-defined]
    assert backend.calls == ["open", "0", "close"]


def test_a_refused_message_does_not_touch_the_others() -> None:
    backend = Backend(_1=smtplib.SMTPDataError(554, b"spam"), _2=RuntimeError("odd"))
    outcomes = deliver(envelopes(4), backend)
    assert statuses(outcomes) == ["sent", "bounced", "deferred", "sent"]
    assert outcomes[1].detail == "554 spam"
    assert backend.calls == ["open", "0", "1", "2", "3", "close"]


@pytest.mark.parametrize(
    "trouble",
    [TimeoutError("slow"), smtplib.SMTPServerDisconnected("lost"), smtplib.SMTPDataError(421, b"")],
)
def test_after_trouble_with_the_connection_the_rest_is_left_untried(trouble: Exception) -> None:
    backend = Backend(_1=trouble)
    assert statuses(deliver(envelopes(4), backend)) == ["sent", "deferred", "untried", "untried"]
    assert backend.calls == ["open", "0", "1", "close"]


def failing(error: Exception) -> Callable[[], Any]:
    def connect() -> Any:
        raise error

    return connect


def test_a_backend_that_cannot_be_made_leaves_everything_untried_and_says_why() -> None:
    results = list(deliver_batch(envelopes(2), failing(ValueError("TLS and SSL")), budget=60))
    assert [o for _, o in results] == [Outcome(Status.UNTRIED, "ValueError: TLS and SSL")] * 2


def test_a_connection_that_cannot_be_opened_leaves_everything_untried_and_is_closed() -> None:
    class Unreachable(Backend):
        def open(self) -> bool:
            super().open()
            raise smtplib.SMTPAuthenticationError(535, b"wrong")

    backend = Unreachable()
    assert deliver(envelopes(2), backend) == [Outcome(Status.UNTRIED, "535 wrong")] * 2
    assert backend.calls == ["open", "close"]


def test_no_message_is_begun_after_the_budget() -> None:
    now = iter([100.0, 100.0, 104.9, 105.0])
    backend = Backend()
    outcomes = deliver(envelopes(4), backend, budget=5.0, clock=lambda: next(now))
    assert statuses(outcomes) == ["sent", "sent", "untried", "untried"]
    assert backend.calls == ["open", "0", "1", "close"]


@pytest.mark.parametrize("count", [0, None])
def test_a_backend_that_sends_nothing_without_a_reason_defers(count: Any) -> None:
    outcomes = deliver(envelopes(2), Backend(_0=count))
    assert statuses(outcomes) == ["deferred", "sent"]
    assert "no reason" in outcomes[0].detail


@pytest.mark.parametrize(
    ("replies", "status"),
    [
        ({"x@example.com": (550, b"unknown")}, Status.BOUNCED),
        ({"x@example.com": (450, b"busy")}, Status.DEFERRED),
        ({"x@example.com": (550, b"no"), "y@example.com": (450, b"busy")}, Status.DEFERRED),
    ],
)
def test_an_outcome_for_some_recipients_names_them(replies: Any, status: Status) -> None:
    class Partly(Backend):
        refused: list[Any]

        def send_messages(self, messages: list[Any]) -> Any:
            self.refused = [(messages[0], replies)] if messages[0].subject == "0" else []
            return super().send_messages(messages)

    partly, whole = deliver(envelopes(2), Partly())
    assert partly == Outcome(status, partly.detail, tuple(replies))
    assert partly.detail.startswith(str(next(iter(replies.values()))[0]))
    assert whole == Outcome(Status.SENT)


def test_a_message_that_cannot_be_rebuilt_bounces_alone() -> None:
    batch = envelopes(3)
    batch[1] = msgspec.structs.replace(batch[1], body=Special("surrogates", data=b"\xff"))
    backend = Backend()
    outcomes = deliver(batch, backend)
    assert statuses(outcomes) == ["sent", "bounced", "sent"]
    assert outcomes[1].detail.startswith("DecodeError")
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


def test_an_empty_batch_has_no_outcomes() -> None:
    assert deliver([], Backend()) == []
