"""Flower's fields, from what workers tell to words for people."""

from types import SimpleNamespace

import pytest

from mailqueue.batch import describe
from mailqueue.errors import DeliveryError
from mailqueue.flower.wording import in_words

ID, OTHER = "a" * 32, "b" * 32


def task(**fields: object) -> SimpleNamespace:
    usual = {"args": describe([ID, OTHER], 2100), "kwargs": "{}", "state": "SUCCESS"}
    unset = dict.fromkeys(("result", "exception", "traceback"))
    return SimpleNamespace(**(unset | usual | fields))


def test_a_batch_is_named_by_its_mails() -> None:
    shown = in_words(task())
    assert shown.args == "deliver 2 mails, 2.1 kB"
    assert shown.kwargs == f"{ID}, {OTHER}"
    assert in_words(task(args=describe([ID], 900))).args == "deliver 1 mail, 0.9 kB"


def test_a_repr_that_is_none_of_ours_is_not_shown() -> None:
    shown = in_words(task(args='([\'{"body": "secret"}\'],)'))
    assert (shown.args, shown.kwargs) == ("deliver a batch", "")


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("{'sent': 1200}", "1,200 sent"),
        ("{'bounced': 2, 'sent': 48}", "48 sent, 2 bounced"),
        ("{'skipped': 50}", "50 skipped"),
        ("{}", "nothing to do"),
        ("{'secret': 1}", "nothing to do"),
        ("{'sent': ", ""),
        (None, ""),
    ],
)
def test_a_result_is_counted_good_news_first(result: str | None, words: str) -> None:
    assert in_words(task(result=result)).result == words


@pytest.mark.parametrize(
    "reply", ["550 no such user", "550 the user's mailbox", '550 "quoted" it\'s']
)
def test_a_failure_shows_counts_and_replies_without_the_traceback(reply: str) -> None:
    error = DeliveryError(f"1 bounced, 2 deferred, 1 sent; not sent: {ID} {reply}")
    shown = in_words(task(state="FAILURE", exception=repr(error), traceback="Traceback …"))
    assert shown.result == "1 sent, 2 deferred, 1 bounced"
    assert f"not sent: {ID} 550" in shown.exception
    assert not shown.exception.startswith("DeliveryError")
    assert shown.traceback is None


def test_a_retry_shows_why_mail_waits() -> None:
    trace = "Traceback …\ncelery.exceptions.Retry: 1 deferred, 1 sent: 450 4.2.0 later\n"
    shown = in_words(task(state="RETRY", exception="None", traceback=trace))
    assert shown.result == "1 sent, 1 deferred"
    assert shown.exception == "1 deferred, 1 sent: 450 4.2.0 later"
    assert shown.traceback is None


def test_what_was_not_on_purpose_keeps_its_traceback_without_addresses() -> None:
    shown = in_words(
        task(state="FAILURE", exception="KeyError('ann@x.test')", traceback="… ann@x.test …")
    )
    assert shown.exception == "KeyError(***@x.test')"
    assert shown.traceback == "… ***@x.test …"


@pytest.mark.parametrize(
    ("state", "word"), [("REVOKED", "failed list"), ("REJECTED", "queue"), ("STARTED", "")]
)
def test_other_ends_say_where_the_mail_is(state: str, word: str) -> None:
    assert word in in_words(task(state=state)).result
