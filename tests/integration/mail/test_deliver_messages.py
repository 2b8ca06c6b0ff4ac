"""What the SMTP backend tells of each message, whatever the server does."""

import smtplib
import socket
from typing import Any

import pytest
from support.raw_smtp import GO, HANG_UP, OK, RESET, SILENCE, RawSmtp, Step, greeting, taken
from support.smtp import SmtpServer

from mailqueue.backends.smtp import EmailBackend
from mailqueue.message import EmailMessage
from mailqueue.outcomes import Attempt, Fault, Stage

ME = "me@example.com"


def mail(*to: str, body: str = "hello", sender: str = ME) -> EmailMessage:
    return EmailMessage("Subject", body, sender, list(to or ["ann@example.com"]))


def backend(server: Any, timeout: float = 10) -> EmailBackend:
    return EmailBackend(host="127.0.0.1", port=server.port, timeout=timeout)


def deliver(server: Any, *messages: Any, timeout: float = 10) -> list[Attempt]:
    """Hand over what one connection takes; the contract's general part is checked on the way."""
    with backend(server, timeout) as connection:
        attempts = list(connection.deliver_messages(iter(messages)))
        lost = [bool(attempt.fault and attempt.fault.lost) for attempt in attempts]
        assert not any(lost[:-1])
        if lost[-1:] == [True]:
            assert connection.connection is None
        elif len(attempts) == len(messages):
            assert lost == [False] * len(messages)
    assert all(got.message is given for got, given in zip(attempts, messages, strict=False))
    return attempts


def play(*steps: Step, offers: tuple[str, ...] = ()) -> RawSmtp:
    return RawSmtp([*greeting(*offers), *steps])


def up_to(verb: str, action: Any) -> list[Step]:
    """One message that goes well until ``verb``."""
    steps = taken()
    at = [expected for expected, _ in steps].index(verb)
    return [*steps[:at], (verb, action)]


def patience(action: Any) -> float:
    """Seconds: short only where they have to pass."""
    return 1 if action == SILENCE else 10


STAGES = {
    "MAIL": Stage.SENDER,
    "RCPT": Stage.RECIPIENT,
    "DATA": Stage.DATA,
    ".": Stage.CONTENT,
}


# --- One after the other


def test_messages_are_taken_one_by_one_and_told_in_order():
    begun = []

    def ledger():
        for number in range(3):
            begun.append(number)
            yield mail(body=f"number {number}")

    with SmtpServer() as server, backend(server) as connection:
        attempts = connection.deliver_messages(ledger())
        assert begun == []
        for number in range(3):
            attempt = next(attempts)
            assert begun == list(range(number + 1))
            assert attempt == Attempt(attempt.message, taken=True)
            assert len(server.received) == number + 1
        assert next(attempts, None) is None
    assert server.connections == 1


def test_a_backend_that_is_not_open_takes_nothing():
    begun = iter([mail()])
    with pytest.raises(smtplib.SMTPServerDisconnected, match="open"):
        next(EmailBackend(host="127.0.0.1", port=1).deliver_messages(begun))
    assert len(list(begun)) == 1


def test_nothing_to_deliver_says_nothing():
    with RawSmtp(greeting()[:1]) as server:
        assert deliver(server) == []


def test_it_ends_where_the_caller_closes_in_between():
    with SmtpServer() as server, backend(server) as connection:
        waiting = iter([mail(), mail()])
        attempts = connection.deliver_messages(waiting)
        next(attempts)
        connection.close()
        connection.open()
        assert next(attempts, None) is None
        assert len(list(waiting)) == 1


def test_both_ways_of_sending_share_a_connection():
    with SmtpServer() as server, backend(server) as connection:
        assert connection.send_messages([mail("ünal@example.com")]) == 1
        assert [got.taken for got in connection.deliver_messages([mail()])] == [True]
        assert connection.send_messages([mail()]) == 1
    assert (server.connections, len(server.received)) == (1, 3)


# --- Refusals: the connection goes on


@pytest.mark.parametrize(
    ("reply", "code", "text"),
    [
        (b"451 4.3.0 later\r\n", 451, "4.3.0 later"),
        (b"554-5.7.1 no\r\n554 5.7.1 never\r\n", 554, "5.7.1 no 5.7.1 never"),
    ],
)
@pytest.mark.parametrize("verb", ["MAIL", "DATA", "."])
def test_a_refused_message_is_reset_and_the_next_goes_on(verb, reply, code, text):
    with play(*up_to(verb, reply), ("RSET", OK), *taken()) as server:
        first, second = deliver(server, mail(), mail())
    assert first == Attempt(first.message, fault=Fault(STAGES[verb], code, text))
    assert second.taken


def test_when_all_recipients_are_refused_no_content_is_offered():
    steps = [("MAIL", OK), ("RCPT", b"550 5.1.1 who\r\n"), ("RCPT", b"451 later\r\n")]
    with play(*steps, ("RSET", OK), *taken()) as server:
        first, second = deliver(server, mail("a@example.com", "b@example.com"), mail())
    assert first.refused == (
        ("a@example.com", Fault(Stage.RECIPIENT, 550, "5.1.1 who")),
        ("b@example.com", Fault(Stage.RECIPIENT, 451, "later")),
    )
    assert (first.taken, first.fault, second.taken) == (False, None, True)


def test_an_address_that_stands_twice_is_told_twice():
    replies = [OK, b"550 no\r\n", b"251 forwarded\r\n", b"452 too many\r\n", b"252 perhaps\r\n"]
    steps = [("MAIL", OK), *[("RCPT", reply) for reply in replies], ("DATA", GO), (".", OK)]
    with play(*steps) as server:
        [attempt] = deliver(server, mail("a@x.org", "b@x.org", "a@x.org", "b@x.org", "c@x.org"))
    assert attempt.taken
    assert attempt.fault is None
    assert [(who, fault.code) for who, fault in attempt.refused] == [
        ("b@x.org", 550),
        ("b@x.org", 452),
    ]


@pytest.mark.parametrize("verb", ["DATA", "."])
def test_a_later_fault_leaves_the_refused_recipients_refused(verb):
    steps = up_to(verb, b"452 full\r\n")
    steps.insert(1, ("RCPT", b"550 who\r\n"))
    with play(*steps, ("RSET", OK)) as server:
        [attempt] = deliver(server, mail("bad@x.org", "good@x.org"))
    assert attempt.refused == (("bad@x.org", Fault(Stage.RECIPIENT, 550, "who")),)
    assert attempt.fault == Fault(STAGES[verb], 452, "full")
    assert not attempt.taken


@pytest.mark.parametrize(
    "action", [HANG_UP, RESET, SILENCE, b"421 bye\r\n", b"503 no\r\n", b"?\r\n"]
)
def test_a_reset_that_fails_ends_the_connection_and_keeps_the_outcome(action):
    waiting = iter([mail(), mail()])
    with (
        play(*up_to("MAIL", b"550 no\r\n"), ("RSET", action)) as server,
        backend(server, timeout=patience(action)) as connection,
    ):
        [attempt] = connection.deliver_messages(waiting)
        assert connection.connection is None
    assert attempt.fault == Fault(Stage.SENDER, 550, "no")
    assert len(list(waiting)) == 1


# --- The connection is lost


@pytest.mark.parametrize("verb", STAGES)
def test_421_means_that_nothing_was_accepted(verb):
    with play(*up_to(verb, b"421 4.3.2 closing\r\n")) as server:
        [attempt] = deliver(server, mail(), mail())
    fault = Fault(STAGES[verb], 421, "4.3.2 closing", lost=True)
    assert attempt == Attempt(attempt.message, fault=fault)


def test_421_at_one_recipient_concerns_all_that_are_not_refused():
    replies = [b"550 no\r\n", OK, b"421 too much\r\n"]
    with play(("MAIL", OK), *[("RCPT", reply) for reply in replies]) as server:
        [attempt] = deliver(server, mail("a@x.org", "b@x.org", "c@x.org", "d@x.org"), mail())
    assert attempt.fault == Fault(Stage.RECIPIENT, 421, "too much", lost=True)
    assert [who for who, _ in attempt.refused] == ["a@x.org"]


LOST = [
    pytest.param(HANG_UP, id="hang up"),
    pytest.param(RESET, id="reset"),
    pytest.param(SILENCE, id="silence"),
    pytest.param(b"hello\r\n", id="no code"),
    pytest.param(b"\r\n", id="empty line"),
    pytest.param(b"\x00\xff\xfe\r\n", id="octets"),
    pytest.param(b"250 " + b"x" * 9000 + b"\r\n", id="endless line"),
    pytest.param(b"100 wait\r\n", id="unknown code"),
    pytest.param(b"9999 much\r\n", id="long code"),
    pytest.param(b"335 go\r\n", id="3xx"),
]


@pytest.mark.parametrize("action", LOST)
@pytest.mark.parametrize("verb", STAGES)
def test_without_an_answer_the_connection_is_lost(verb, action):
    with play(*up_to(verb, action)) as server:
        [attempt] = deliver(server, mail(), mail(), timeout=patience(action))
    assert attempt.fault
    assert (attempt.fault.stage, attempt.fault.code) == (STAGES[verb], 0)
    assert attempt.fault.lost
    # Before the final dot nothing can have been accepted; after it, nobody can tell.
    assert attempt.unknown is (verb == ".")
    assert not attempt.taken


@pytest.mark.parametrize("said", [b"25", b"250-ok\r\n", b"250-ok\r\n250-"])
def test_half_a_reply_to_the_content_is_none(said):
    with play(*up_to(".", said), ("", HANG_UP)) as server:
        [attempt] = deliver(server, mail())
    assert attempt.unknown


@pytest.mark.parametrize(
    ("verb", "reply"), [("DATA", b"250 ok\r\n"), (".", b"354 go on\r\n"), ("MAIL", b"354 go\r\n")]
)
def test_a_yes_to_something_else_is_no_yes(verb, reply):
    with play(*up_to(verb, reply)) as server:
        [attempt] = deliver(server, mail())
    assert attempt.fault
    assert attempt.fault.lost
    assert attempt.fault.text == f"SMTPException: Unexpected reply: {reply.decode().strip()}"
    assert attempt.unknown is (verb == ".")


@pytest.mark.parametrize("action", [HANG_UP, RESET, SILENCE])
def test_content_that_left_only_in_part_was_not_accepted(action):
    long = mail(body="0123456789\n" * 100_000)  # more than both sockets hold
    with (
        play(*taken()[:-1], ("content", action)) as server,
        backend(server, timeout=patience(action)) as connection,
    ):
        connection.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 10_000)
        [attempt] = connection.deliver_messages([long])
        assert connection.connection is None
    assert attempt.fault
    assert (attempt.fault.stage, attempt.fault.lost) == (Stage.DATA, True)
    assert not attempt.unknown


@pytest.mark.parametrize("last", [False, True])
def test_only_a_write_with_the_final_dot_leaves_it_unknown(monkeypatch, last):
    long = mail(body=("x" * 900 + "\n") * 200)
    with SmtpServer() as server, backend(server) as connection:
        client = connection.connection

        def send(said):
            if len(said) > 1000 and said.endswith(b"\r\n.\r\n") is last:
                raise TimeoutError("slow")
            type(client).send(client, said)

        monkeypatch.setattr(client, "send", send)
        [attempt] = connection.deliver_messages([long])
    assert attempt.fault
    assert attempt.fault.text == "TimeoutError: slow"
    assert (attempt.fault.lost, attempt.unknown) == (True, last)


@pytest.mark.parametrize("replies", [[b"554 no\r\n"] * 2, [b"what\r\n"], [HANG_UP]])
def test_a_server_that_refuses_to_be_greeted(replies):
    steps: list[Step] = list(zip(["EHLO", "HELO"], replies, strict=False))
    with RawSmtp([*greeting()[:1], *steps]) as server:
        [attempt] = deliver(server, mail(), mail())
    assert attempt.fault
    assert (attempt.fault.stage, attempt.fault.lost) == (Stage.CONNECT, True)
    assert attempt.fault.code == (554 if replies[0] == b"554 no\r\n" else 0)


def test_what_is_left_goes_over_the_next_connection_exactly_once():
    messages = [mail(f"{number}@example.com") for number in range(10)]
    tells = iter(range(100))

    def script(verb, argument, number):
        return "421 enough" if verb == "RCPT" and next(tells) % 3 == 2 else None

    waiting = list(messages)
    rounds = 0
    with SmtpServer(script) as server:
        connection = backend(server)
        while waiting:
            rounds += 1
            connection.open()
            for attempt in connection.deliver_messages(list(waiting)):
                if attempt.taken:
                    waiting.remove(attempt.message)
        connection.close()
    assert rounds > 3
    assert [got.recipients for got in server.received] == [message.to for message in messages]


def test_an_interrupt_in_the_middle_leaves_no_connection(monkeypatch):
    with play(*taken()[:2]) as server, backend(server) as connection:
        client = connection.connection
        attempts = connection.deliver_messages([mail()])

        def docmd(command, *arguments):
            if command == "DATA":
                raise KeyboardInterrupt
            return type(client).docmd(client, command, *arguments)

        monkeypatch.setattr(client, "docmd", docmd)
        with pytest.raises(KeyboardInterrupt):
            next(attempts)
        assert connection.connection is None
        assert client.sock is None


# --- Replies in odd shapes


def test_replies_in_several_lines_and_packets():
    steps: list[Step] = [
        ("MAIL", [b"2", b"50-fine\r", b"\n250 ok\r\n"]),
        ("RCPT", b"250-one\r\n250-two\r\n250 three\r\n"),
        ("RCPT", [b"550-5.1.1 no\r\n550", b" 5.1.1 such \xff user\r\n"]),
        ("DATA", [b"354", b" go\r\n"]),
        (".", [b"250-2.0.0 ok\r\n", b"250 2.0.0 queued\r\n"]),
    ]
    with play(*steps) as server:
        [attempt] = deliver(server, mail("a@x.org", "b@x.org"))
    assert attempt.taken
    assert attempt.refused == (
        ("b@x.org", Fault(Stage.RECIPIENT, 550, "5.1.1 no 5.1.1 such \ufffd user")),
    )


# --- What the server offers


@pytest.mark.parametrize(
    ("offers", "message", "options"),
    [
        ((), mail(body="é" * 9), ""),
        (("8BITMIME", "SMTPUTF8"), mail(), ""),
        (("8BITMIME",), mail(body="é"), "BODY=8BITMIME"),
        (("SMTPUTF8", "8BITMIME"), mail(sender="é@x.org"), "SMTPUTF8 BODY=8BITMIME"),
        (("SMTPUTF8",), mail("é@x.org"), "SMTPUTF8"),
    ],
)
@pytest.mark.parametrize("size", ["", "SIZE", "SIZE 0", "SIZE 999999999999", "SIZE many"])
def test_options_are_those_that_are_offered_and_needed(offers, message, options, size):
    with play(*taken(), offers=(*offers, *filter(None, [size]))) as server:
        [attempt] = deliver(server, message)
    assert attempt.taken
    [said] = [line for line in server.commands[0] if line.startswith("MAIL")]
    if size:
        octets = len(server.contents[0]) - len(".\r\n")
        options = f"SIZE={octets} {options}".strip()
    assert said == f"MAIL FROM:<{message.from_email}> {options}".strip()


def test_a_server_without_ehlo_is_told_no_options():
    steps: list[Step] = [("", b"220 old\r\n"), ("EHLO", b"502 what\r\n"), ("HELO", OK), *taken()]
    with RawSmtp(steps) as server:
        assert deliver(server, mail(body="é"))[0].taken
    assert server.commands[0][2] == f"MAIL FROM:<{ME}>"


def test_a_message_over_the_server_s_size_is_not_even_begun():
    with play(*taken(), offers=("SIZE 1000",)) as server:
        large, small = deliver(server, mail(body="x" * 70 + "\n" + "y" * 990), mail())
    assert large.fault
    assert (large.fault.stage, large.fault.code) == (Stage.SENDER, 552)
    assert large.fault.enhanced == "5.3.4"
    assert large.fault.text.endswith("exceeds the server's SIZE 1000")
    assert not large.fault.lost
    assert small.taken


def test_a_size_that_is_just_kept_is_fine():
    message = mail()
    message.extra_headers = {"Date": "today", "Message-ID": "<1@example.com>"}
    size = len(message.message().as_bytes(linesep="\r\n")) + len("\r\n")
    with play(*taken(), offers=(f"SIZE {size}",)) as server:
        assert deliver(server, message)[0].taken
    with play(offers=(f"SIZE {size - 1}",)) as server:
        assert f"Message of {size} octets" in str(deliver(server, message)[0].fault)


def test_without_smtputf8_only_those_who_need_it_are_refused():
    with play(*taken(recipients=2), *taken()) as server:
        both, none, sender, after = deliver(
            server,
            mail("a@x.org", "ünal@x.org", "b@ünal.org"),
            mail("ünal@x.org"),
            mail(sender="ünal@x.org"),
            mail(),
        )
    assert both.taken
    assert "RCPT TO:<b@xn--nal-goa.org>" in server.commands[0]
    for attempt in (both, none):
        [(who, fault)] = attempt.refused
        assert who == "ünal@x.org"
        assert (fault.stage, fault.code, fault.lost) == (Stage.BUILD, 0, False)
        assert fault.text.startswith("AddressNotSupportedError: ")
        assert attempt.fault is None
    assert not none.taken
    assert sender.fault
    assert (sender.fault.stage, sender.fault.code, sender.fault.lost) == (Stage.BUILD, 0, False)
    assert after.taken


# --- Messages that cannot be built


class Unbuildable(EmailMessage):
    def message(self, *args: Any, **kwargs: Any) -> Any:
        raise LookupError("no template")


def test_what_cannot_be_built_is_told_and_never_spoken_of():
    nobody = EmailMessage("s", "b", ME, [])
    wrong = [mail("a@x.org, b@x.org"), mail(sender="@"), nobody, Unbuildable("s", "b", ME, ["a@b"])]
    odd: list[Any] = [mail(body="x\n" + "y" * 2000), None]
    odd[0].message = lambda: (_ for _ in ()).throw(TypeError("odd"))
    with play(*taken()) as server:
        *attempts, last = deliver(server, *wrong, *odd, mail())
    assert last.taken
    for attempt in attempts:
        assert attempt.fault
        assert (attempt.fault.stage, attempt.fault.code) == (Stage.BUILD, 0)
        assert not attempt.fault.lost
    texts = [str(attempt.fault) for attempt in attempts]
    assert texts[2:5] == [
        "ValueError: The message has no recipients",
        "LookupError: no template",
        "TypeError: odd",
    ]
