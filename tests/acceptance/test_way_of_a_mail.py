"""From a web app's process to an SMTP server, through each broker and a worker process."""

import email
import math
from typing import Any

import pytest
from support.processes import python, until, worker
from support.smtp import SmtpServer

BATCH_SIZE = 30

PRODUCER = """
from mailqueue import EmailMultiAlternatives, get_connection, send_mass_mail

plain = [(f"Mail {n}", f"Body {n}, zażółć\\n", "a@example.com", [f"to{n}@example.com"])
         for n in range(150)]
assert send_mass_mail(plain) == 150

rich = []
for n in range(150, 200):
    message = EmailMultiAlternatives(f"Mail {n}", f"Body {n}\\n", "a@example.com",
                                     [f"to{n}@example.com"], headers={"X-Number": str(n)})
    message.attach_alternative(f"<p>Body {n}</p>", "text/html")
    message.attach("data.bin", bytes(range(256)), "application/octet-stream")
    rich.append(message)
assert get_connection().send_messages(rich) == 50
"""


@pytest.mark.parametrize("starter", ["mailqueue", "celery"])
def test_200_mails_arrive_once_each_over_one_connection_a_batch(broker, smtp, tmp_path, starter):
    settings = broker | {
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": str(smtp.port),
        "MAILQUEUE_BATCH_SIZE": str(BATCH_SIZE),
    }
    if starter == "celery" and "socket" in broker["MAILQUEUE_BROKER_URL"]:
        pytest.skip("one broker of each kind is enough for the other way to start a worker")
    import sys

    command = (
        (sys.executable, "-m", "celery", "-A", "worker", "worker") if starter == "celery" else ()
    )
    python(PRODUCER, settings)
    with worker(settings, tmp_path / "worker.log", command=command) as running:
        until(lambda: len(smtp.received) >= 200, 60, lambda: (len(smtp.received), running.log))
    assert_equal_to_what_was_sent(smtp)
    # 150 and 50 are cut separately: two calls, two times rounding up.
    batches = math.ceil(150 / BATCH_SIZE) + math.ceil(50 / BATCH_SIZE)
    assert smtp.connections == batches
    assert smtp.quits == batches
    assert "Traceback" not in running.log


def test_one_call_with_200_takes_exactly_the_batches_it_must(broker, smtp, tmp_path):
    settings = broker | {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(smtp.port)}
    python(
        "from mailqueue import send_mass_mail\n"
        "send_mass_mail([(f'Mail {n}', 'x', 'a@example.com', ['b@example.com'])"
        " for n in range(200)])",
        settings,
    )
    with worker(settings, tmp_path / "worker.log") as running:
        until(lambda: len(smtp.received) >= 200, 60, lambda: (len(smtp.received), running.log))
    subjects = sorted(subject_of(mail.content) for mail in smtp.received)
    assert subjects == sorted(f"Mail {n}" for n in range(200))
    assert smtp.connections == math.ceil(200 / 50)


def assert_equal_to_what_was_sent(smtp: SmtpServer) -> None:
    parsed = {subject_of(mail.content): mail for mail in smtp.received}
    assert len(smtp.received) == len(parsed) == 200
    ids = set()
    for n in range(200):
        mail = parsed[f"Mail {n}"]
        message = email.message_from_bytes(mail.content)
        ids.add(message["Message-ID"])
        assert (mail.sender, mail.recipients) == ("a@example.com", [f"to{n}@example.com"])
        assert message["To"] == f"to{n}@example.com"
        if n < 150:
            assert body(message) == f"Body {n}, zażółć\r\n".encode()
        else:
            assert message["X-Number"] == str(n)
            payload: Any = message.get_payload()
            alternative, attachment = payload
            plain, html = alternative.get_payload()
            assert body(plain) == f"Body {n}\r\n".encode()
            assert body(html) == f"<p>Body {n}</p>".encode()
            assert body(attachment) == bytes(range(256))
            assert attachment.get_filename() == "data.bin"
    assert len(ids) == 200


def subject_of(content: bytes) -> str:
    return str(email.message_from_bytes(content)["Subject"])


def body(part) -> bytes:
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload
