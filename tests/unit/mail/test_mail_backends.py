"""What backends do without files and networks."""

import io
import smtplib
import socket
import sys
import types
from typing import Any
from unittest import mock

import pytest

import mailqueue
from mailqueue import ConfigurationError, configure
from mailqueue.backends import base, console, dummy, locmem, smtp
from mailqueue.message import EmailMessage, EmailMultiAlternatives
from mailqueue.sending import get_connection, mail_admins, mail_managers, send_mail, send_mass_mail
from mailqueue.utils import DNS_NAME

LOCMEM = "mailqueue.backends.locmem.EmailBackend"


@pytest.fixture
def outbox():
    configure(EMAIL_BACKEND=LOCMEM)
    mailqueue.outbox = []  # type: ignore[attr-defined]
    return mailqueue.outbox  # type: ignore[attr-defined]


def mail(body="hello", **given):
    return EmailMessage("Subject", body, "me@example.com", ["ann@example.com"], **given)


def test_the_contract():
    backend = base.BaseEmailBackend(anything="ignored")
    with backend as same:
        assert same is backend
    with pytest.raises(NotImplementedError, match="must override send_messages"):
        backend.send_messages([])


def test_opening_that_fails_closes():
    backend = base.BaseEmailBackend()
    with (
        mock.patch.object(backend, "open", side_effect=OSError("no")),
        mock.patch.object(backend, "close") as close,
        pytest.raises(OSError, match="no"),
        backend,
    ):
        pass
    close.assert_called_once_with()


def test_dummy_counts():
    assert dummy.EmailBackend().send_messages(iter([mail(), mail()])) == 2


def test_locmem_keeps_copies(outbox):
    message = mail()
    assert locmem.EmailBackend().send_messages(iter([message])) == 1
    message.subject = "changed"
    assert [kept.subject for kept in outbox] == ["Subject"]
    with pytest.raises(mailqueue.BadHeaderError):
        locmem.EmailBackend().send_messages([mail(headers={"X": "a\nb"})])


def test_the_outbox_of_djangos_test_runner_is_shared(monkeypatch):
    monkeypatch.delattr(mailqueue, "outbox", raising=False)
    assert not hasattr(mailqueue, "outbox")
    runner = types.ModuleType("django.core.mail")
    monkeypatch.setitem(sys.modules, "django.core.mail", runner)
    assert not hasattr(mailqueue, "outbox")
    runner.outbox = []  # type: ignore[attr-defined]
    locmem.EmailBackend().send_messages([mail()])
    assert mailqueue.outbox is runner.outbox  # type: ignore[attr-defined]
    assert [kept.subject for kept in mailqueue.outbox] == ["Subject"]  # type: ignore[attr-defined]
    mailqueue.outbox = []  # type: ignore[attr-defined]  # as tests empty it
    assert runner.outbox == []


@pytest.mark.parametrize("own", [True, False])
def test_mailqueue_in_the_place_of_django_core_mail(monkeypatch, own):
    monkeypatch.delattr(mailqueue, "outbox", raising=False)
    monkeypatch.setitem(sys.modules, "django.core.mail", mailqueue)
    if own:
        mailqueue.outbox = []  # type: ignore[attr-defined]
    locmem.EmailBackend().send_messages([mail()])
    assert len(mailqueue.outbox) == 1  # type: ignore[attr-defined]
    del mailqueue.outbox  # type: ignore[attr-defined]


def test_console(capsys):
    assert console.EmailBackend().send_messages([]) == 0
    stream = io.StringIO()
    assert console.EmailBackend(stream=stream).send_messages(iter([mail("é\udcff"), mail()])) == 2
    assert stream.getvalue().count("-" * 79 + "\n") == 2
    assert "\n\né\\xff\n" in stream.getvalue()
    assert console.EmailBackend().send_messages([mail()]) == 1
    assert "To: ann@example.com\n" in capsys.readouterr().out


def test_console_whose_charset_is_too_small():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    assert console.EmailBackend(stream=stream).send_messages([mail("é")]) == 1
    assert b"\\xe9" in stream.buffer.getvalue()


@pytest.mark.parametrize("silent", [True, False])
def test_console_whose_stream_fails(silent):
    stream = mock.Mock(**{"write.side_effect": OSError("full")})
    backend = console.EmailBackend(stream=stream, fail_silently=silent)
    if silent:
        assert backend.send_messages([mail()]) == 0
    else:
        with pytest.raises(OSError, match="full"):
            backend.send_messages([mail()])


@pytest.mark.parametrize("path", ["x", "x.y", "mailqueue.backends.smtp.Nothing", ".x"])
def test_paths_that_lead_nowhere(path):
    with pytest.raises(ConfigurationError, match="dotted path"):
        get_connection(path)


def test_send_mail(outbox):
    assert send_mail("s", "b", None, ["a@x.org"], html_message="<p>") == 1
    assert outbox[0].from_email == "webmaster@localhost"
    assert outbox[0].alternatives == [("<p>", "text/html")]
    assert send_mail("s", "b", None, []) == 0
    assert send_mass_mail([("s", "b", None, ["a@x.org"]), ("t", "b", "f@x.org", ["b@x.org"])]) == 2
    assert [message.subject for message in outbox] == ["s", "s", "t"]


@pytest.mark.parametrize(
    ("send", "setting"), [(mail_admins, "ADMINS"), (mail_managers, "MANAGERS")]
)
def test_staff(outbox, send, setting):
    send("s", "b")
    assert outbox == []
    configure(
        EMAIL_SUBJECT_PREFIX="[x] ",
        SERVER_EMAIL="root@x.org",
        **{setting: [("Ann", "a@x.org"), ("Bob", "b@x.org")]},
    )
    send("s", "b", html_message="<p>")
    assert isinstance(outbox[0], EmailMultiAlternatives)
    assert outbox[0].subject == "[x] s"
    assert outbox[0].from_email == "root@x.org"
    assert outbox[0].to == ["a@x.org", "b@x.org"]
    configure(**{setting: ["a@x.org"]})
    with pytest.raises(ValueError, match=f"The {setting} setting must be a list of 2-tuples"):
        send("s", "b")


def test_smtp_settings_and_arguments():
    configure(EMAIL_HOST="h", EMAIL_PORT=99, EMAIL_HOST_USER="u", EMAIL_HOST_PASSWORD="secret")
    backend = smtp.EmailBackend()
    assert (backend.host, backend.port, backend.username) == ("h", 99, "u")
    assert backend.password == "secret"
    assert "secret" not in repr(backend)
    assert smtp.EmailBackend(username="", password="").username == ""
    with pytest.raises(ValueError, match="mutually exclusive"):
        smtp.EmailBackend(use_tls=True, use_ssl=True)


def test_a_half_open_connection_is_never_used():
    half = mock.Mock(**{"starttls.side_effect": smtplib.SMTPException("no")})
    with mock.patch.object(smtp.EmailBackend, "connection_class", mock.Mock(return_value=half)):
        backend = smtp.EmailBackend(use_tls=True, fail_silently=True)
        assert backend.open() is None
        assert backend.connection is None
        assert backend.send_messages([mail()]) == 0
        backend.close()
    half.sendmail.assert_not_called()


def test_open_may_be_replaced():
    backend: Any = smtp.EmailBackend()
    backend.connection = mock.Mock()
    backend.open = lambda: None
    assert backend.send_messages([mail()]) == 0


@pytest.mark.parametrize("silent", [True, False])
def test_an_oserror_while_sending_obeys_fail_silently(silent):
    connection = mock.Mock(**{"sendmail.side_effect": TimeoutError("slow")})
    backend = smtp.EmailBackend(fail_silently=silent)
    with mock.patch.object(backend, "_connect", return_value=connection):
        if silent:
            assert backend.send_messages([mail()]) == 0
        else:
            with pytest.raises(TimeoutError):
                backend.send_messages([mail()])
    assert backend.connection is None
    connection.close.assert_called()


def test_the_name_of_this_host(monkeypatch):
    for name, said in [
        ("漢字", "xn--p8s937b"),
        ("host.example", "host.example"),
        ("a b", "localhost"),
    ]:
        monkeypatch.delattr(DNS_NAME, "_fqdn", raising=False)
        monkeypatch.setattr(socket, "getfqdn", lambda name=name: name)
        assert str(DNS_NAME) == DNS_NAME.get_fqdn() == said
        assert EmailMessage().message()["Message-ID"].endswith(f"@{said}>")
    monkeypatch.delattr(DNS_NAME, "_fqdn")
