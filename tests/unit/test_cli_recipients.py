"""Correcting an address: whom the mail goes to then, and what its headers say."""

import pytest
from support.filling import mail

from mailqueue.desk.recipients import corrected, domains, left
from mailqueue.envelope import Envelope
from mailqueue.unpacking import unpack_message


def test_left_are_those_who_are_not_served_yet():
    both = mail(to="Ann <ann@example.com>", bcc=("bob@EXAMPLE.org",))
    assert left(both) == ["ann@example.com", "bob@EXAMPLE.org"]
    assert domains(both) == ["example.com", "example.org"]
    assert left(mail(recipients=("bob@example.org",))) == ["bob@example.org"]


def test_the_header_shows_the_right_address_with_the_persons_name():
    changed = corrected(mail(to="Ann Lee <ann@exmple.com>"), "ann@example.com")
    message = unpack_message(changed)
    assert message.recipients() == ["Ann Lee <ann@example.com>"]
    assert message.message()["To"] == "Ann Lee <ann@example.com>"


def test_a_name_that_comes_with_the_correction_wins():
    changed = corrected(mail(to="Ann <ann@exmple.com>"), "Anne <anne@example.com>")
    assert unpack_message(changed).message()["To"] == "Anne <anne@example.com>"


def test_only_who_failed_gets_it_and_the_others_stay_in_the_header():
    kept = mail(to="ann@example.com", recipients=("bob@exmple.com",))
    kept = Envelope.decode(kept.encode().replace('"to":["ann@example.com"]',
        '"to":["ann@example.com","bob@exmple.com"]'))  # fmt: skip
    message = unpack_message(corrected(kept, "bob@example.com"))
    assert message.recipients() == ["bob@example.com"]
    assert message.message()["To"] == "ann@example.com, bob@example.com"


def test_a_blind_copy_stays_blind():
    kept = mail(bcc=("dora@exmple.com",), recipients=("dora@exmple.com",))
    message = unpack_message(corrected(kept, "dora@example.com"))
    assert message.recipients() == ["dora@example.com"]
    assert b"dora" not in message.message().as_bytes()


def test_a_to_header_of_its_own_is_corrected_too():
    kept = mail(to="ann@exmple.com", headers=(("to", "The team <ann@exmple.com>, x@example.com"),))
    built = unpack_message(corrected(kept, "ann@example.com")).message()
    assert built["To"] == "The team <ann@example.com>, x@example.com"


def test_a_finished_message_keeps_its_bytes():
    raw = b"To: ann@exmple.com\nSubject: x\n\nHi\n"
    kept = mail(to="ann@exmple.com", kind="raw", raw=raw, recipients=("ann@exmple.com",))
    changed = corrected(kept, "ann@example.com")
    assert changed.raw == raw
    assert left(changed) == ["ann@example.com"]


def test_of_several_the_wrong_one_has_to_be_named():
    kept = mail(cc=("bob@exmple.com",))
    with pytest.raises(ValueError, match="2 recipients"):
        corrected(kept, "bob@example.com")
    with pytest.raises(ValueError, match="not kept for"):
        corrected(kept, "bob@example.com", "carl@example.com")
    changed = corrected(kept, "bob@example.com", "bob@exmple.com")
    assert left(changed) == ["ann@example.com", "bob@example.com"]


@pytest.mark.parametrize("new", ["", "two words", "a@b@c", "a@example.com, b@example.com", "a@x\n"])
def test_what_is_no_address_is_refused(new):
    with pytest.raises(ValueError, match=r"."):
        corrected(mail(), new)
