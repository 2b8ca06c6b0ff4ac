"""Run in a process of its own: gives what each probe of ``django_differences.py`` gives, as JSON.

``python django_probes.py django.core.mail`` or ``… mailqueue``; probes come on standard input.
"""

import datetime  # noqa: ICN001 - probes say it in full
import email
import io
import json
import pickle
import smtplib
import stat
import sys
import tempfile
from email.message import MIMEPart
from importlib import import_module
from pathlib import Path
from typing import Any

from django.conf import settings


class Api:
    """One implementation, and short ways to try it."""

    def __init__(self, root: str) -> None:
        self.mail = import_module(root)
        self._root = root

    def backend(self, name):
        return import_module(f"{self._root}.backends.{name}").EmailBackend

    def made(self, **changes):
        fixed = {"Date": "Sat, 21 Nov 2026 10:00:00 -0000", "Message-ID": "<1@x>"}
        headers = changes.pop("headers", {})
        if any(name.lower() == "date" for name in headers):
            del fixed["Date"]
        message = self.mail.EmailMessage(
            "s", "b", "a@example.com", ["b@example.com"], headers=fixed | headers,
            connection=changes.pop("connection", None),
        )  # fmt: skip
        for name, value in changes.items():
            setattr(message, name, value)
        return message

    def bytes_of(self, **changes) -> bytes:
        return self.made(**changes).message().as_bytes()

    def parsed(self, **changes):
        return email.message_from_bytes(self.bytes_of(**changes))

    def header_names(self, **changes):
        return self.parsed(**changes).keys()

    def longest_line(self, **changes) -> int:
        return max(map(len, self.bytes_of(**changes).split(b"\n")))

    def date_header(self, value):
        return self.parsed(headers={"Date": value})["Date"]

    def to_header(self, value):
        return self.parsed(to=value)["To"]

    def sanitize(self, address):
        return import_module(f"{self._root}.message").sanitize_address(address, "utf-8")

    def attached(self, *attachment):
        message = self.made()
        message.attach(*attachment)
        built: Any = email.message_from_bytes(message.message().as_bytes())
        return built.get_payload()[-1]

    def attached_bytes(self, *attachment):
        return self.attached(*attachment).get_payload(decode=True)

    def attached_part_type(self):
        part = MIMEPart()
        part.set_content("x")
        return self.attached(part).get_content_type()

    def _smtp(self, error=None, **options):
        backend = self.backend("smtp")(**options)
        backend.connection = Connection(error)
        backend.open = lambda: False
        return backend

    def smtp_recipients(self, addresses):
        backend = self._smtp()
        backend.send_messages([self.made(to=addresses)])
        return backend.connection.recipients

    def smtp_count(self, error, **options):
        return self._smtp(error, **options).send_messages([self.made()])

    def smtp_keeps_dead_connection(self):
        backend = self._smtp(smtplib.SMTPServerDisconnected("gone"), fail_silently=True)
        before = backend.connection
        backend.send_messages([self.made()])
        return backend.connection is before

    def trusts_authorities_with_client_certificate(self):
        import trustme

        with tempfile.TemporaryDirectory() as directory:
            path = f"{directory}/client.pem"
            certificate = trustme.CA().issue_cert("client.example.com")
            certificate.private_key_and_cert_chain_pem.write_to_path(path)
            backend = self.backend("smtp")(ssl_certfile=path, ssl_keyfile=path)
            return backend.ssl_context.cert_store_stats()["x509_ca"] > 0

    def file_mode(self):
        with tempfile.TemporaryDirectory() as directory:
            self.backend("filebased")(file_path=directory).send_messages([self.made()])
            (path,) = Path(directory).iterdir()
            return oct(stat.S_IMODE(path.stat().st_mode))


class Connection:
    """Stands for a connection, since what is asked is only what would be said on it."""

    sock = object()
    does_esmtp = True

    def __init__(self, error) -> None:
        self._error = error
        self.recipients = None

    def sendmail(self, sender, recipients, data, *options):
        self.recipients = recipients
        if self._error:
            raise self._error
        return {}

    def has_extn(self, name) -> bool:
        return False

    def ehlo_or_helo_if_needed(self) -> None:
        pass

    def rset(self) -> None:
        pass

    def quit(self) -> None:
        pass

    def close(self) -> None:
        pass


def given(probe: str, api: Api) -> str:
    names = {"api": api, "datetime": datetime, "io": io, "pickle": pickle}
    try:
        return repr(eval(probe, names))
    except Exception as error:  # noqa: BLE001 - the answer
        return type(error).__name__


if __name__ == "__main__":
    settings.configure()
    implementation = Api(sys.argv[1])
    json.dump([given(probe, implementation) for probe in json.load(sys.stdin)], sys.stdout)
