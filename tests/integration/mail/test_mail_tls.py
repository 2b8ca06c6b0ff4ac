"""TLS of the SMTP backend: always verified, and never a step back to plain text."""

import datetime as dt
import functools
import smtplib
import socket
import ssl
import threading
from typing import Any

import pytest
import trustme
from support.smtp import SmtpServer

from mailqueue.backends.smtp import EmailBackend
from mailqueue.message import EmailMessage

HOST = "127.0.0.1"


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture
def trusted(authority, tmp_path, monkeypatch):
    """Make the default context trust the test's authority, as a system's store would."""
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))


@pytest.fixture(params=["starttls", "implicit"])
def kind(request):
    return request.param


def context_for(certificate, client_authority=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    if client_authority is not None:
        client_authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def tls_server(kind, context):
    if kind == "starttls":
        return SmtpServer(tls_context=context, require_starttls=True)
    server = SmtpServer()
    loop: Any = server._loop
    loop.create_server = functools.partial(loop.create_server, ssl=context)
    return server


def backend(server, kind, **given):
    tls = {"use_tls": True} if kind == "starttls" else {"use_ssl": True}
    return EmailBackend(host=HOST, port=server.port, timeout=10, **(tls | given))


def mail():
    return EmailMessage("Subject", "hello", "me@example.com", ["ann@example.com"])


@pytest.mark.usefixtures("trusted")
def test_good_certificate(authority, kind):
    with tls_server(kind, context_for(authority.issue_cert(HOST))) as server:
        assert backend(server, kind).send_messages([mail()]) == 1
    assert len(server.received) == 1


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("host", "mismatch|not valid for"),
        ("expired", "expired"),
        ("authority", "self.signed|local issuer|unknown"),
    ],
)
def test_bad_certificate_is_refused_and_said(authority, kind, fault, says, silent):
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    certificate = {
        "host": lambda: authority.issue_cert("other.example"),
        "expired": lambda: authority.issue_cert(HOST, not_before=past, not_after=past),
        "authority": lambda: trustme.CA().issue_cert(HOST),
    }[fault]()
    with tls_server(kind, context_for(certificate)) as server:
        connection = backend(server, kind, fail_silently=silent)
        if silent:
            assert connection.send_messages([mail()]) == 0
        else:
            with pytest.raises(ssl.SSLCertVerificationError, match=says):
                connection.send_messages([mail()])
        assert connection.connection is None
    assert server.received == []


@pytest.mark.usefixtures("trusted")
def test_client_certificate_comes_on_top_of_verification(authority, kind, tmp_path):
    certificate = authority.issue_cert("client@example.com")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.cert_chain_pems[0].write_to_path(str(cert))
    certificate.private_key_pem.write_to_path(str(key))
    mine = {"ssl_certfile": str(cert), "ssl_keyfile": str(key)}

    with tls_server(kind, context_for(authority.issue_cert(HOST), authority)) as server:
        assert backend(server, kind, **mine).send_messages([mail()]) == 1
        with pytest.raises(OSError, match=r"."):
            backend(server, kind).send_messages([mail()])
    assert len(server.received) == 1

    with (
        tls_server(kind, context_for(trustme.CA().issue_cert(HOST), authority)) as server,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        backend(server, kind, **mine).send_messages([mail()])


class PlainServer:
    """Offers STARTTLS or not, refuses it, and records what it is told in the clear."""

    def __init__(self, *, offers, reply):
        self.offers, self.reply = offers, reply
        self.told = []
        self._socket = socket.create_server((HOST, 0))
        self.port = self._socket.getsockname()[1]

    def __enter__(self):
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)

    def _run(self):
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            with peer, peer.makefile("rb") as lines:
                peer.sendall(b"220 plain\r\n")
                try:
                    for line in lines:
                        self.told.append(line.strip().upper()[:4])
                        peer.sendall(self._answer(self.told[-1]))
                except OSError:
                    pass

    def _answer(self, verb):
        if verb == b"EHLO":
            return b"250-plain\r\n250-STARTTLS\r\n250 HELP\r\n" if self.offers else b"250 HELP\r\n"
        if verb == b"STAR":
            return self.reply
        return b"354 go\r\n" if verb == b"DATA" else b"250 ok\r\n"


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize(
    ("offers", "reply"),
    [
        (False, b""),
        (True, b"454 not now\r\n"),
        (True, b"501 no\r\n"),
        (True, b"220 go ahead\r\nthis is no TLS\r\n"),
    ],
)
def test_failed_starttls_never_leads_to_plain_text(silent, offers, reply):
    with PlainServer(offers=offers, reply=reply) as server:
        connection = EmailBackend(
            host=HOST,
            port=server.port,
            use_tls=True,
            username="u",
            password="p",
            fail_silently=silent,
            timeout=10,
        )
        for _ in range(2):
            if silent:
                assert connection.open() is None
                assert connection.send_messages([mail()]) == 0
            else:
                with pytest.raises((smtplib.SMTPException, ssl.SSLError)):
                    connection.open()
                with pytest.raises((smtplib.SMTPException, ssl.SSLError)):
                    connection.send_messages([mail()])
            assert connection.connection is None
        connection.close()
    assert (b"STAR" in server.told) is offers
    assert not {b"MAIL", b"RCPT", b"DATA", b"AUTH"} & set(server.told)
