"""Retrying what is in the failed store: one atomic move, and nobody is lost on the way."""

import msgspec
import pytest
from support.filling import fails, mail, name, settle, waits

from mailqueue import conf, failed, ledger, schedule
from mailqueue.desk.retrying import Retried, retry
from mailqueue.desk.standing import standing_of
from mailqueue.envelope import Envelope
from mailqueue.failed import Failed
from mailqueue.outcomes import Status
from mailqueue.state import get_state, key


@pytest.fixture(autouse=True)
def _state(redis_settings):
    conf.configure(**redis_settings)


def entry(number: int = 1) -> Failed:
    found = failed.find(name(number))
    assert found is not None
    return found


def taken() -> list[Envelope]:
    return [Envelope.decode(w.document) for w in schedule.take_due(100, 10**6)]


def test_a_retried_mail_is_due_now_under_its_id_and_begins_anew():
    fails(mail(attempts=7, first_attempt_at=1.0, not_before=2.0))
    assert retry(entry()) is Retried.RETRIED
    assert failed.count() == 0
    standing = standing_of(name(1))
    assert standing is not None
    assert standing.status is Status.QUEUED
    (again,) = taken()
    assert (again.id, again.attempts, again.first_attempt_at) == (name(1), 0, 0.0)
    assert again.edition > 0
    assert len(again.tries) == 1
    assert ledger.claim("run/1", "default", [ledger.Wanted(again.id, again.edition)]) == ["go"]


def test_an_expiry_that_is_over_is_dropped_and_one_to_come_holds():
    fails(mail(1, expires_at=5.0))
    fails(mail(2, expires_at=5e9))
    assert [retry(entry(n)) for n in (1, 2)] == ["retried", "retried"]
    assert sorted(str(e.expires_at) for e in taken()) == ["5000000000.0", "None"]


def test_a_mail_on_its_way_for_others_stays():
    partly = mail(recipients=("bob@example.com",))
    failed.keep_message(partly, "bounced", "550 no")
    waits(mail())
    assert retry(entry()) is Retried.LIVE
    assert failed.count() == 1


def test_what_somebody_else_took_is_gone():
    fails(mail())
    found = entry()
    assert retry(found) is Retried.RETRIED
    assert retry(found) is Retried.GONE
    assert schedule.count() == 1


def test_a_recipient_added_after_the_entry_was_read_is_not_lost():
    failed.keep_message(mail(recipients=("bob@example.com",)), "bounced", "550 no bob")
    before = entry()
    failed.keep_message(mail(recipients=("carl@example.com",)), "bounced", "550 no carl")
    settle(mail(), Status.BOUNCED)
    assert retry(before) is Retried.GONE
    assert retry(entry()) is Retried.RETRIED
    assert taken()[0].recipients == ("bob@example.com", "carl@example.com")


def test_what_this_version_cannot_read_is_kept():
    id_ = failed.keep_undecodable(b"\xff\x00", "not an envelope")
    found = failed.find(id_)
    assert found is not None
    assert retry(found) is Retried.UNREADABLE
    assert failed.count() == 1


def test_what_another_version_could_not_read_goes_out_under_the_entrys_id():
    id_ = failed.keep_undecodable(mail().encode(), "envelope version 1, this worker reads 0")
    found = failed.find(id_)
    assert found is not None
    assert retry(found) is Retried.RETRIED
    (again,) = taken()
    assert again.id == id_ != name(1)
    assert again.headers == mail().headers
    assert ledger.claim("run/1", "default", [ledger.Wanted(again.id, again.edition)]) == ["go"]


def test_an_entry_of_another_version_hides_no_other():
    fails(mail(1))
    fails(mail(2))
    odd = b'{"id":"x","reason":"tired","detail":"","data":"","kept_at":1}'
    get_state().hset(key("failed"), name(1), odd)
    found = list(failed.entries())
    assert [e.reason for e in found] == ["undecodable", "bounced"]
    assert found[0].data == odd
    assert retry(found[0]) is Retried.UNREADABLE
    assert [e.id for e in failed.entries(newest_first=True)] == [name(2), name(1)]


def test_a_change_is_what_is_sent():
    fails(mail())
    change = lambda e: msgspec.structs.replace(e, to=("x@example.com",))  # noqa: E731
    assert retry(entry(), change=change) is Retried.RETRIED
    assert taken()[0].to == ("x@example.com",)
