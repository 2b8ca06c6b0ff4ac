"""Smaller promises of the API, each against a real server or real processes."""

import email
import socket
import subprocess
import sys
import threading
from collections import Counter

import pytest
from support.smtp import SmtpServer

import mailqueue
from mailqueue import EmailMessage, get_connection, send_mail, send_mass_mail
from mailqueue.backends.smtp import EmailBackend

DATA = ("Subject", "Body", "a@example.com", ["b@example.com"])


@pytest.fixture
def smtp_backend(smtp):
    mailqueue.configure(
        EMAIL_BACKEND="mailqueue.backends.smtp.EmailBackend",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=smtp.port,
    )
    return smtp


def test_a_mass_mail_goes_over_one_connection_and_is_counted(smtp_backend):
    assert send_mass_mail([DATA] * 5) == 5
    assert (smtp_backend.connections, smtp_backend.quits) == (1, 1)
    assert len(smtp_backend.received) == 5


def test_what_was_opened_for_a_message_is_closed_after_it(smtp_backend):
    assert send_mail(*DATA) == send_mail(*DATA) == 1
    assert (smtp_backend.connections, smtp_backend.quits) == (2, 2)


def test_what_the_caller_opened_stays_open(smtp_backend):
    with get_connection() as connection:
        for _ in range(3):
            assert EmailMessage(*DATA, connection=connection).send() == 1
    assert (smtp_backend.connections, smtp_backend.quits) == (1, 1)


@pytest.mark.parametrize(
    "call", [send_mail, lambda *data, **options: send_mass_mail([data], **options)]
)
def test_login_and_silence_reach_the_backend(monkeypatch, call):
    made = []

    class Backend(EmailBackend):
        def __init__(self, **options):
            super().__init__(**options)
            made.append(self)

        def send_messages(self, email_messages):
            return len(list(email_messages))

    monkeypatch.setitem(globals(), "Backend", Backend)
    mailqueue.configure(EMAIL_BACKEND=f"{__name__}.Backend")
    call(*DATA, auth_user="ann", auth_password="secret", fail_silently=True)
    (backend,) = made
    assert (backend.username, backend.password, backend.fail_silently) == ("ann", "secret", True)


def test_a_goodbye_that_fails_changes_nothing():
    """The server takes the mail and hangs up instead of answering QUIT."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = []

        def serve():
            client, _ = server.accept()
            with client, client.makefile("rwb") as stream:
                for reply in ("220 hi", "250 hi", "250 ok", "250 ok", "354 go"):
                    stream.write(reply.encode() + b"\r\n")
                    stream.flush()
                    taken.append(stream.readline())
                while stream.readline() != b".\r\n":
                    pass
                stream.write(b"250 kept\r\n")
                stream.flush()
                taken.append(stream.readline())  # QUIT; the answer is to hang up

        thread = threading.Thread(target=serve)
        thread.start()
        backend = EmailBackend("127.0.0.1", server.getsockname()[1], timeout=5)
        assert backend.send_messages([EmailMessage(*DATA)]) == 1
        thread.join(10)
    assert taken[-1] == b"quit\r\n"
    assert backend.connection is None


def test_date_and_message_id_are_there_once(smtp_backend):
    given = {"date": "Sat, 21 Nov 2026 10:00:00 -0000", "MESSAGE-ID": "<1@example.com>"}
    EmailMessage(*DATA, headers=given).send()
    EmailMessage(*DATA).send()
    for mail in smtp_backend.received:
        names = Counter(name.lower() for name in email.message_from_bytes(mail.content))
        assert (names["date"], names["message-id"]) == (1, 1)


def test_several_processes_write_into_one_directory(tmp_path):
    code = (
        "from mailqueue import EmailMessage\n"
        "from mailqueue.backends.filebased import EmailBackend\n"
        f"backend = EmailBackend(file_path={str(tmp_path)!r})\n"
        "for n in range(20):\n"
        "    message = EmailMessage(f'Mail {n}', 'x' * 500, 'a@example.com', ['b@example.com'])\n"
        "    assert backend.send_messages([message]) == 1\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(5)]
    assert [process.wait(60) for process in processes] == [0] * 5
    files = list(tmp_path.iterdir())
    assert len(files) == 5
    for path in files:
        mails = path.read_bytes().split(b"-" * 79 + b"\n")
        assert mails.pop() == b""
        subjects = [email.message_from_bytes(mail.lstrip())["Subject"] for mail in mails]
        assert subjects == [f"Mail {n}" for n in range(20)]


def test_a_cr_alone_is_a_line_break():
    message = EmailMessage("a\rBcc: c@example.com", "x", "a@example.com", ["b@example.com"])
    with pytest.raises(mailqueue.BadHeaderError, match="Subject"):
        message.message()
    with SmtpServer() as server:
        backend = EmailBackend("127.0.0.1", server.port)
        with pytest.raises(mailqueue.BadHeaderError):
            backend.send_messages([message])
        assert server.received == []
