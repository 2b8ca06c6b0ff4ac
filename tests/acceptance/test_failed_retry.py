"""A fault of the server's put hundreds of mails into the failed store; mended, they are retried."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.processes import Worker, environment, until, worker
from support.smtp import SmtpServer

from mailqueue import Status, conf, failed, ledger, schedule, send_mass_mail
from mailqueue.desk.standing import standing_of

COUNT = 300


@contextmanager
def failed_mails(redis_settings, smtp: SmtpServer, tmp_path) -> Iterator[tuple[dict, Worker]]:
    """A running worker, and 300 mails that it could not send since everybody was refused."""
    settings = redis_settings | {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(smtp.port)}
    conf.configure(**settings)
    smtp.script = lambda verb, _argument, _connection: (
        "550 5.1.1 no such user" if verb == "RCPT" else None
    )
    send_mass_mail(
        (f"Mail {n}", "Body", "us@example.com", [f"to{n}@example.com"]) for n in range(COUNT)
    )
    with worker(settings, tmp_path / "worker.log") as running:
        until(lambda: failed.count() == COUNT, 60, lambda: running.log[-3000:])
        until(lambda: ledger.in_flight() == 0, 20)
        smtp.script = None
        yield settings, running


def start_retry(settings: dict[str, str]) -> subprocess.Popen[str]:
    """``mailqueue failed retry --all``, by an operator."""
    return subprocess.Popen(
        [sys.executable, "-m", "mailqueue", "failed", "retry", "--all", "--json"],
        env=environment(settings), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def outcome(process: subprocess.Popen[str]) -> dict[str, int]:
    told, trouble = process.communicate(timeout=60)
    assert process.returncode == 0, trouble
    counts: dict[str, int] = json.loads(told)
    return counts


@pytest.mark.parametrize("operators", [1, 2])
def test_retry_all_sends_each_mail_once_however_many_ask(redis_settings, smtp, tmp_path, operators):
    with failed_mails(redis_settings, smtp, tmp_path) as (settings, running):
        before = {entry.id for entry in failed.entries()}
        assert {entry.reason for entry in failed.entries()} == {"bounced"}
        processes = [start_retry(settings) for _ in range(operators)]
        counts = [outcome(process) for process in processes]
        # Each mail was retried by one of them.
        assert sum(count["retried"] for count in counts) == COUNT
        assert all(count["live"] == count["unreadable"] == 0 for count in counts)

        def all_sent() -> bool:
            return ledger.totals()["default"].get("sent") == COUNT

        until(all_sent, 60, lambda: (ledger.totals(), running.log[-3000:]))
        until(lambda: ledger.in_flight() == schedule.count() == 0, 20)
    recipients = sorted(who for mail in smtp.received for who in mail.recipients)
    assert recipients == sorted(f"to{n}@example.com" for n in range(COUNT))
    assert failed.count() == 0
    for id_ in before:  # under their own names
        standing = standing_of(id_)
        assert standing
        assert (standing.status, standing.served, standing.failed) == (Status.SENT, 1, 0)
