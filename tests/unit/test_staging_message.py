import email
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mailqueue.domains import domain_of
from mailqueue.message import EmailMessage
from mailqueue.raw import RawMessage
from mailqueue.routing.domain_patterns import domain_table
from mailqueue.staging import stage
from mailqueue.wire import serialise

SAFE = "staging@test.example"


def mail(to: list[str], cc: list[str] = [], bcc: list[str] = []) -> EmailMessage:  # noqa: B006
    return EmailMessage("Subject", "Body\n", "me@shop.example", to, bcc, cc=cc)


def headers(message: Any) -> email.message.Message:
    return email.message_from_bytes(serialise(message.message()))


def test_without_settings_nothing_changes():
    message = mail(["ann@example.com"])
    assert stage(message, redirect_to=None, allowed=()) == ()
    assert message.recipients() == ["ann@example.com"]
    assert "X-Mailqueue" not in str(headers(message))


def test_a_redirected_mail_goes_to_one_address_and_says_for_whom_it_was():
    message = mail(["Ann <ann@example.com>"], ["bob@example.org"], ["eve@example.net"])
    assert stage(message, redirect_to=SAFE, allowed=()) == ()
    assert message.recipients() == [SAFE]
    assert (message.to, message.cc, message.bcc) == ([SAFE], [], [])
    told = " ".join(headers(message)["X-Mailqueue-Redirected-From"].split())
    assert told == "Ann <ann@example.com>, bob@example.org, eve@example.net"
    assert headers(message)["To"] == SAFE


def test_outside_the_allowed_domains_nobody_gets_it_and_each_has_a_reason():
    message = mail(["ann@example.com", "bob@Shop.Example"], bcc=["eve@sub.example.com"])
    withheld = stage(message, redirect_to=None, allowed=("shop.example",))
    assert [who for who, _ in withheld] == ["ann@example.com", "eve@sub.example.com"]
    assert "MAILQUEUE_ALLOWED_DOMAINS" in str(withheld[0][1])
    assert message.recipients() == ["bob@Shop.Example"]
    assert headers(message)["X-Mailqueue-Withheld"] == "2 of 3 recipients"
    assert "ann@" not in str(headers(message))


def test_with_both_the_others_are_redirected_without_being_named_to_strangers():
    message = mail(["ann@example.com", "bob@shop.example"], bcc=["eve@example.net"])
    assert stage(message, redirect_to=SAFE, allowed=("shop.example",)) == ()
    assert sorted(message.recipients()) == ["bob@shop.example", SAFE]
    assert message.to == ["bob@shop.example"]
    assert "eve@" not in str(headers(message))
    assert "ann@" not in str(headers(message))


def test_a_finished_message_keeps_its_bytes_behind_the_new_header():
    raw = b"DKIM-Signature: x\nTo: ann@example.com\nSubject: s\n\nBody\n"
    message = RawMessage(raw)
    message.to = ["ann@example.com"]
    stage(message, redirect_to=SAFE, allowed=())
    assert message.recipients() == [SAFE]
    written = message.message().as_bytes()
    assert written == b"X-Mailqueue-Redirected-From: ann@example.com\n" + raw


def test_recipients_left_of_an_earlier_attempt_are_staged_too():
    message = mail(["ann@example.com"])
    message.recipients = lambda: ["bob@example.org"]  # type: ignore[method-assign]
    stage(message, redirect_to=SAFE, allowed=())
    assert message.recipients() == [SAFE]


def test_headers_that_the_message_brings_name_nobody_who_does_not_get_it():
    message = mail(["ann@example.com", "bob@shop.example"])
    message.extra_headers = {"To": "ann@example.com"}
    stage(message, redirect_to=None, allowed=("shop.example",))
    assert headers(message)["To"] == "bob@shop.example"


def test_many_originals_are_counted():
    message = mail([f"somebody.{n}@example.com" for n in range(200)])
    stage(message, redirect_to=SAFE, allowed=())
    said = headers(message)["X-Mailqueue-Redirected-From"]
    assert len(said) < 1000
    assert said.endswith(" more")


def test_domains_are_compared_as_they_are_looked_up():
    assert domain_of("Ann <ann@BÜCHER.example>") == "xn--bcher-kva.example"
    assert domain_of("no address") == ""


people = st.sampled_from(
    ["ann@example.com", "Bob <bob@shop.example>", "eve@sub.shop.example", "x@shop.example.evil.com",
     "Üwe <u@BÜCHER.example>", "dan@shop.example"]
)  # fmt: skip


@given(
    st.lists(people, max_size=4),
    st.lists(people, max_size=4),
    st.lists(people, max_size=4),
    st.sampled_from([None, SAFE]),
    st.sampled_from([(), ("shop.example",), ("*.shop.example", "example.com")]),
)
def test_nobody_outside_ever_gets_it(to, cc, bcc, redirect_to, allowed):
    message = mail(to, cc, bcc)
    before = message.recipients()
    withheld = stage(message, redirect_to=redirect_to, allowed=allowed)
    if not redirect_to and not allowed:
        assert message.recipients() == before
        return
    for who in message.recipients():
        assert who == redirect_to or domain_table({"allowed": allowed}).find(domain_of(who))
    if before:
        assert message.recipients() or withheld
    if redirect_to:
        assert not withheld
