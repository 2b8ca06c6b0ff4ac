"""Run by ``test_django_transactions.py``, in a process where Django is configured."""

from contextlib import suppress
from typing import Any

from django.conf import settings

settings.configure(
    EMAIL_BACKEND="mailqueue.contrib.django.EmailBackend",
    INSTALLED_APPS=["mailqueue.contrib.django"],
    DATABASES={
        name: {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
        for name in ("default", "other")
    },
    USE_TZ=True,
)
import django  # noqa: E402

django.setup()

from django.core import mail  # noqa: E402
from django.db import connections, transaction  # noqa: E402
from django.test import TestCase, override_settings  # noqa: E402

from mailqueue import EnqueueError, enqueuing  # noqa: E402
from mailqueue.contrib.django import enqueue  # noqa: E402
from mailqueue.testing import capturing  # noqa: E402

published: list[list[str]] = []


def publish(batches: Any) -> None:
    from mailqueue.envelope import Envelope

    published.append([str(Envelope.decode(one.data).subject) for batch in batches for one in batch])


def send(*subjects: str) -> int:
    return sum(
        mail.send_mail(subject, "b", "us@example.com", ["ann@example.com"]) for subject in subjects
    )


def taken() -> list[list[str]]:
    found = published[:]
    published.clear()
    return found


class UndoneError(Exception):
    """Rolls a transaction back."""


def test_at_once_outside_of_a_transaction() -> None:
    assert send("a") == 1
    assert taken() == [["a"]]


def test_with_the_commit_and_in_one_go() -> None:
    with transaction.atomic():
        assert send("a", "b") == 2
        with transaction.atomic():
            send("inner")
        send("c")
        assert taken() == []
    # What was sent in a savepoint has a fate of its own.
    assert taken() == [["a", "b"], ["inner"], ["c"]]


def test_never_after_a_rollback() -> None:
    with suppress(UndoneError), transaction.atomic():
        send("a")
        raise UndoneError
    with transaction.atomic():
        send("kept")
        with suppress(UndoneError), transaction.atomic():
            send("undone")
            raise UndoneError
        send("also kept")
    assert [one for call in taken() for one in call] == ["kept", "also kept"]


def test_what_stands_between_two_mails_on_the_commit_keeps_its_place() -> None:
    with transaction.atomic():
        send("before")
        transaction.on_commit(lambda: published.append(["between"]))
        send("after")
    assert taken() == [["before"], ["between"], ["after"]]


def test_every_open_transaction_has_to_be_committed() -> None:
    with transaction.atomic(using="other"):
        send("other")
        assert taken() == []
    assert taken() == [["other"]]
    with transaction.atomic():
        with transaction.atomic(using="other"):
            send("both")
        assert taken() == []
    assert taken() == [["both"]]
    with transaction.atomic(), suppress(UndoneError), transaction.atomic(using="other"):
        send("undone")
        raise UndoneError
    with suppress(UndoneError), transaction.atomic():
        with transaction.atomic(using="other"):
            send("undone as well")
        raise UndoneError
    assert taken() == []


def test_what_is_wrong_is_told_at_once_and_a_later_change_changes_nothing() -> None:
    message = mail.EmailMessage("as it was", "b", "us@example.com", ["ann@example.com"])
    with transaction.atomic():
        try:
            send("two\nlines")
        except ValueError:
            pass
        else:
            raise AssertionError("a line break in a header")
        message.send()
        message.subject = "changed"
    assert taken() == [["as it was"]]


def test_it_can_be_switched_off() -> None:
    with transaction.atomic():
        connection = mail.get_connection(on_commit=False)
        mail.EmailMessage("s", "b", "us@example.com", ["a@b.example"], connection=connection).send()
        assert taken() == [["s"]]
        with override_settings(MAILQUEUE_ON_COMMIT=False):
            send("at once")
            assert taken() == [["at once"]]
            waits = mail.get_connection(on_commit=True)
            mail.EmailMessage("w", "b", "us@example.com", ["a@b.example"], connection=waits).send()
        assert taken() == []
    assert taken() == [["w"]]


def test_enqueue_returns_handles_at_once() -> None:
    message = mail.EmailMessage("h", "b", "us@example.com", ["ann@example.com"])
    with capturing() as outbox:
        with transaction.atomic():
            (handle,) = enqueue(message, priority="high")
            assert handle.id
            assert outbox == []
        assert outbox[0].message()["Message-ID"] == handle.message_id


def test_a_broker_that_is_away_fails_the_commit_unless_silence_was_asked_for() -> None:
    def away(batches: Any) -> None:
        raise EnqueueError("away", enqueued=(), not_enqueued=())

    done: list[str] = []
    with enqueuing.published_by(away):
        try:
            with transaction.atomic():
                send("a")
                transaction.on_commit(lambda: done.append("after"))
        except EnqueueError:
            assert not connections["default"].in_atomic_block
        else:
            raise AssertionError("nobody was told")
        assert done == []
        with transaction.atomic():
            silent = mail.get_connection(fail_silently=True)
            mail.EmailMessage("s", "b", "u@example.com", ["a@b.example"], connection=silent).send()
            transaction.on_commit(lambda: done.append("after"))
        assert done == ["after"]


class InATestCase(TestCase):
    databases = {"default", "other"}  # noqa: RUF012 - Django's way

    def setUp(self) -> None:
        send("set up")

    def test_captured(self) -> None:
        with self.captureOnCommitCallbacks() as callbacks:
            send("not committed")
        assert len(callbacks) == 1
        assert taken() == []
        with self.captureOnCommitCallbacks(execute=True):
            with transaction.atomic():
                send("a")
            send("b")
        assert [one for call in taken() for one in call] == ["a", "b"]
        with (
            self.captureOnCommitCallbacks(using="other", execute=True),
            transaction.atomic(using="other"),
        ):
            send("other")
        assert taken() == [["other"]]


def in_a_test_case() -> None:
    import unittest

    from django.test.utils import setup_databases, teardown_databases

    old = setup_databases(verbosity=0, interactive=False)
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(InATestCase)
    result = unittest.TextTestRunner(verbosity=0).run(suite)
    teardown_databases(old, verbosity=0)
    assert result.wasSuccessful()
    assert result.testsRun == 1


with enqueuing.published_by(publish):
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            assert taken() == [], name
    in_a_test_case()
print("all of it ran")  # noqa: T201 - for the test that started it
