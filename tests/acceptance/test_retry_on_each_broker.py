"""A deferred mail comes back by whichever broker, once, and holds nothing else up."""

from collections import Counter

from support.processes import python, until, worker

MAILS = """
from mailqueue import send_mass_mail
for group in range(3):
    send_mass_mail([(f"Mail {group}-{n}", "x", "a@example.com", [f"to{group}{n}@example.com"])
                    for n in range(4)])
"""


def test_greylisted_mail_arrives_once_after_its_delay(broker, smtp, tmp_path):
    settings = broker | {
        "MAILQUEUE_RETRY_SCHEDULE": "4",
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": str(smtp.port),
    }
    tried: Counter[str] = Counter()

    def greylist(verb: str, argument: str, connection: int) -> str | None:
        tried[argument] += verb == "RCPT"
        first_of_its_group = argument.endswith("0@example.com")
        if verb == "RCPT" and first_of_its_group and tried[argument] == 1:
            return "450 4.2.0 greylisted"
        return None

    smtp.script = greylist
    python(MAILS, settings)
    with worker(settings, tmp_path / "worker.log") as running:
        until(lambda: len(smtp.received) >= 9, 30, lambda: running.log)
        until(lambda: len(smtp.received) >= 12, 30, lambda: running.log)
    recipients = Counter(mail.recipients[0] for mail in smtp.received)
    assert set(recipients.values()) == {1}
    assert len(recipients) == 12
    assert running.log.count("] retry: ") == 3
    assert "WARNING/MainProcess" not in running.log
