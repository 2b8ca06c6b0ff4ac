"""The SMTP backend against real servers."""

import smtplib
import socket

import pytest
from support.smtp import SmtpServer

from mailqueue.backends.smtp import EmailBackend
from mailqueue.message import EmailMessage


def mail(to=("ann@example.com",), body="hello", **given):
    return EmailMessage("Subject", body, "me@example.com", list(to), **given)


def backend(server, **given):
    return EmailBackend(host="127.0.0.1", port=server.port, timeout=10, **given)


def test_sends_with_crlf_and_counts():
    with SmtpServer() as server:
        assert backend(server).send_messages(iter([mail(), mail(body="é\n.\n..x\r\ny")])) == 2
    assert b"\n" not in server.received[1].content.replace(b"\r\n", b"")
    assert server.received[1].content.endswith("é\r\n.\r\n..x\r\ny\r\n".encode())
    assert server.connections == 1


def test_messages_without_recipients_are_not_sent():
    with SmtpServer() as server:
        assert backend(server).send_messages([mail(to=())]) == 0
        assert backend(server).send_messages([]) == 0


def test_open_tells_new_from_open():
    with SmtpServer() as server, backend(server) as connection:
        assert connection.open() is False
        connection.close()
        assert connection.open() is True
        connection.close()
        connection.close()


def test_no_server_is_an_error_or_silently_none():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        EmailBackend(host="127.0.0.1", port=port).send_messages([mail()])
    silent = EmailBackend(host="127.0.0.1", port=port, fail_silently=True)
    assert silent.open() is None
    assert silent.send_messages([mail()]) == 0


def test_some_refused_recipients_are_kept():
    def script(verb, argument, number):
        return "550 no such user" if verb == "RCPT" and argument.startswith("bad") else None

    letter = mail(to=["ann@example.com", "bad@example.com"])
    with SmtpServer(script) as server:
        connection = backend(server)
        assert connection.send_messages([letter, mail()]) == 2
    assert connection.refused == [(letter, {"bad@example.com": (550, b"no such user")})]


def test_all_refused_recipients_are_an_error_and_kept():
    letter = mail(to=["bad@example.com"])
    with SmtpServer(lambda verb, *_: "550 no" if verb == "RCPT" else None) as server:
        connection = backend(server)
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            connection.send_messages([letter])
    assert connection.refused == [(letter, {"bad@example.com": (550, b"no")})]


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
def test_after_a_refusal_the_connection_serves_the_next_message(verb):
    count = iter(range(100))

    def script(got, argument, number):
        return "554 refused" if got == verb and next(count) == 0 else None

    with SmtpServer(script) as server:
        connection = backend(server, fail_silently=True)
        assert connection.send_messages([mail(), mail(body="second")]) == 1
    assert [received.connection for received in server.received] == [1]


def test_refusing_the_data_command_is_followed_by_rset():
    commands: list[str] = []
    with FakeServer({"DATA": ["554 not now", "354 go"]}, commands) as port:
        connection = EmailBackend(host="127.0.0.1", port=port, fail_silently=True, timeout=10)
        assert connection.send_messages([mail(), mail()]) == 1
    verbs = [command.split()[0].upper() for command in commands]
    assert verbs.index("RSET") == verbs.index("DATA") + 1


@pytest.mark.parametrize("silent", [True, False])
def test_a_connection_that_died_is_not_kept(silent):
    def script(verb, argument, number):
        return "close" if verb == "DATA" and number == 1 else None

    with SmtpServer(script) as server:
        connection = backend(server, fail_silently=silent)
        connection.open()
        if silent:
            assert connection.send_messages([mail(), mail()]) == 1
        else:
            with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionResetError)):
                connection.send_messages([mail()])
            assert connection.connection is None
            assert connection.send_messages([mail()]) == 1
        connection.close()
    assert [received.connection for received in server.received] == [2]


def test_non_ascii_local_part_goes_by_smtputf8():
    with SmtpServer() as server:
        assert backend(server).send_messages([mail(to=["Ünal <ünal@éxample.com>"])]) == 1
    assert server.received[0].recipients == ["ünal@xn--xample-9ua.com"]


def test_non_ascii_local_part_is_refused_clearly_without_smtputf8():
    with (
        SmtpServer(enable_SMTPUTF8=False) as server,
        pytest.raises(smtplib.SMTPNotSupportedError, match=r"SMTPUTF8.*ünal@example.com"),
    ):
        backend(server).send_messages([mail(to=["ünal@example.com"])])
    assert server.received == []


@pytest.mark.parametrize(
    "address",
    ["a@example.com, b@example.com", "t@example.com\ufe50evil\uff20other.com", "a@b.com>"],
)
def test_the_envelope_takes_exactly_one_mailbox(address):
    with SmtpServer() as server, pytest.raises(ValueError, match="Invalid address"):
        backend(server).send_messages([EmailMessage("s", "b", "me@example.com", bcc=[address])])
    assert server.received == []


@pytest.mark.parametrize("silent", [True, False])
def test_a_failed_login_sends_nothing(silent):
    commands: list[str] = []
    with FakeServer({"AUTH": ["535 no"] * 9}, commands) as port:
        connection = EmailBackend(
            host="127.0.0.1",
            port=port,
            username="u",
            password="secret",
            fail_silently=silent,
            timeout=10,
        )
        if silent:
            assert connection.send_messages([mail()]) == 0
            assert connection.send_messages([mail()]) == 0
        else:
            with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
                connection.send_messages([mail()])
            assert "secret" not in str(caught.value)
    assert not [command for command in commands if command.upper().startswith("MAIL")]


class FakeServer:
    """Answers by script, one connection after another, and records every command."""

    def __init__(self, replies, commands, greeting_extensions=("AUTH PLAIN",)):
        self.replies = {verb: list(given) for verb, given in replies.items()}
        self.commands = commands
        self.extensions = greeting_extensions

    def __enter__(self):
        import threading

        self.socket = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self.socket.getsockname()[1]

    def __exit__(self, *exc_info):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(10)

    def run(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            with peer, peer.makefile("rwb") as lines:
                self.serve(lines)

    def serve(self, lines):
        def say(text):
            lines.write(f"{text}\r\n".encode())
            lines.flush()

        say("220 fake")
        in_data = False
        try:
            for raw in lines:
                line = raw.decode().strip()
                if in_data:
                    in_data = line != "."
                    if not in_data:
                        say("250 kept")
                    continue
                self.commands.append(line)
                verb = line.split()[0].upper()
                if verb == "EHLO":
                    say("250-fake")
                    for extension in self.extensions:
                        say(f"250-{extension}")
                    say("250 HELP")
                elif verb == "QUIT":
                    say("221 bye")
                    return
                else:
                    given = self.replies.get(verb)
                    reply = given.pop(0) if given else "354 go" if verb == "DATA" else "250 ok"
                    in_data = reply.startswith("354")
                    say(reply)
        except OSError:
            return
