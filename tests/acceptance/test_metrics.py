"""``/metrics``: what the workers count is what the SMTP server counted, restarts and kills or not.

Real workers over a private Redis, and a server that accepts, refuses and defers.
"""

import json
import os
import signal
import subprocess
import sys

import pytest
from support.brokers import delete_rabbitmq_queue
from support.gated_sink import GatedSink
from support.outages import fixed_port
from support.processes import environment, until, worker
from support.scraping import Scrape, get

from mailqueue import EmailMessage, conf, enqueue, failed, ledger, routes, schedule
from mailqueue.desk.overview import overview

DOMAIN = "hidden.example"


@pytest.fixture
def sink():
    with GatedSink() as server:
        yield server
        server.open_the_gate()


@pytest.fixture
def settings(redis_settings, sink, tmp_path):
    settings = redis_settings | {
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": str(sink.port),
        "MAILQUEUE_BATCH_SIZE": "10",
        "MAILQUEUE_RETRY_SCHEDULE": "0.5",
        "MAILQUEUE_VISIBILITY_TIMEOUT": "9",
    }
    conf.configure(**settings)
    return settings


class Load:
    """Mail of four kinds, and what has to come of it."""

    def __init__(self) -> None:
        self.sent = self.bounced = self.deferred = self.accepted = 0
        self._count = 0

    def add(self, count: int) -> None:
        mails = []
        for number in range(self._count, self._count + count):
            to = [f"plain{number}@{DOMAIN}"]
            match number % 8:
                case 3:
                    to = [f"refused{number}@{DOMAIN}"]
                    self.bounced += 1
                case 5:
                    to = [f"later{number}@{DOMAIN}"]
                    self.deferred += 1
                    self.sent += 1
                    self.accepted += 1
                case 7:
                    # Taken for one of its two recipients.
                    to.append(f"refused{number}@{DOMAIN}")
                    self.bounced += 1
                    self.accepted += 1
                case _:
                    self.sent += 1
                    self.accepted += 1
            mails.append(EmailMessage(f"SECRET {number}", "SECRET", f"from@{DOMAIN}", to))
        self._count += count
        enqueue(mails)

    def is_done(self) -> bool:
        totals = ledger.totals().get("default", {})
        return (totals.get("sent"), totals.get("bounced")) == (self.sent, self.bounced)


def is_what_the_sink_counted(scrape: Scrape, sink: GatedSink, load: Load) -> None:
    assert len(sink.accepted) == len(set(sink.accepted)) == load.accepted
    assert scrape.sum("mailqueue_accepted_total") == len(sink.accepted)
    assert scrape.by("mailqueue_outcomes_total", "outcome") == {
        "sent": load.sent, "bounced": load.bounced, "deferred": load.deferred,
    }  # fmt: skip
    assert scrape.by("mailqueue_recipients_total", "outcome") == {
        "sent": sum(len(one.recipients) for one in sink.accepted),
        "bounced": sink.refusals["550"],
        "deferred": sink.refusals["450"],
    }
    assert scrape.sum("mailqueue_delivery_seconds_count") == load.sent
    assert scrape.sum("mailqueue_delivery_seconds_bucket", le="+Inf") == load.sent
    # A bound below all of them would mean that clocks or units went wrong.
    assert scrape.sum("mailqueue_delivery_seconds_bucket", le="86400.0") == load.sent


def test_two_workers_count_what_the_server_counted_through_a_restart_and_a_kill(
    settings, sink, tmp_path
):
    ports = fixed_port(), fixed_port()
    first, second = (settings | {"MAILQUEUE_METRICS_PORT": str(port)} for port in ports)
    load = Load()
    with worker(second, tmp_path / "second.log") as other:
        with worker(first, tmp_path / "first.log"):
            load.add(80)
            until(load.is_done, 30, ledger.totals)
            is_what_the_sink_counted(Scrape(*ports), sink, load)
            load.add(80)
            # And now SIGTERM, in the midst of it.
        with worker(first, tmp_path / "first-again.log") as one:
            until(load.is_done, 30, ledger.totals)
            is_what_the_sink_counted(Scrape(*ports), sink, load)
            sink.close_the_gate()
            load.add(80)
            until(lambda: sink.held == 4, 20, lambda: sink.held)
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait(10)
            sink.open_the_gate()
        with worker(first, tmp_path / "first-once-more.log") as last:
            until(load.is_done, 60, lambda: (ledger.totals(), other.log[-2000:], last.log[-2000:]))
            scrape = Scrape(*ports)
    is_what_the_sink_counted(scrape, sink, load)
    assert all(count > 0 for count in scrape.values("mailqueue_accepted_total"))
    for private in (DOMAIN, "SECRET", "@", "127.0.0.1"):
        assert private not in scrape.text


def test_threads_count_alike_and_so_do_the_replies(settings, sink, tmp_path):
    port = fixed_port()
    settings["MAILQUEUE_METRICS_PORT"] = str(port)
    load = Load()
    options = "--pool", "threads", "--concurrency", "4"
    with worker(settings, tmp_path / "worker.log", *options) as running:
        load.add(80)
        until(load.is_done, 30, lambda: running.log)
        # Its connections' ends are counted with the outcomes.
        scrape = Scrape(port)
    is_what_the_sink_counted(scrape, sink, load)
    assert scrape.by("mailqueue_smtp_replies_total", "code") == {
        "250": len(sink.accepted), **sink.refusals,
    }  # fmt: skip
    assert scrape.sum("mailqueue_smtp_reply_seconds_count") == len(sink.accepted)
    opened = scrape.by("mailqueue_smtp_connections_total", "result")
    assert opened == {"ok": sink.connections}
    assert scrape.sum("mailqueue_smtp_connect_seconds_count") == sink.connections


def test_the_gauges_are_those_of_stats(settings, sink, tmp_path):
    port = fixed_port()
    settings["MAILQUEUE_METRICS_PORT"] = str(port)
    sink.close_the_gate()
    with worker(settings, tmp_path / "worker.log", "--concurrency", "1") as running:
        Load().add(60)
        enqueue([EmailMessage("x", "x", "a@example.com", ["b@example.com"])] * 3, priority="bulk")
        later = [EmailMessage("x", "x", "a@example.com", ["b@example.com"])]
        enqueue(later, delay=3600)
        failed.keep_undecodable(b"nonsense", "a test")
        routes.pause_by_hand("other", "a test")
        until(lambda: sink.held == 1 and overview().in_flight, 20, lambda: running.log)
        stats = json.loads(
            subprocess.run(
                [sys.executable, "-m", "mailqueue", "stats", "--json"],
                env=environment(settings), capture_output=True, text=True, check=True,
            ).stdout
        )  # fmt: skip
        scrape = Scrape(port)
        sink.open_the_gate()
    queued = stats["queued"]
    assert queued["batches"] > 0
    for name, what in (
        ("batches", "mailqueue_queue_batches"),
        ("messages", "mailqueue_queue_mails"),
    ):
        expected = {p: one[name] for p, one in queued["by_priority"].items() if one[name]}
        assert scrape.by(what, "priority") == expected
    assert scrape.sum("mailqueue_in_flight_mails") == stats["in_flight"] > 0
    assert scrape.sum("mailqueue_queue_oldest_seconds") > 0
    assert scrape.sum("mailqueue_failed_mails") == stats["failed"]["total"] == 1
    assert scrape.by("mailqueue_failed_mails", "reason") == stats["failed"]["by_reason"]
    assert scrape.by("mailqueue_route_paused", "route") == {"other": 1}
    assert scrape.sum("mailqueue_waiting_mails") == stats["waiting"]["total"]
    assert scrape.sum("mailqueue_parked_mails") == stats["parked"]
    assert scrape.by("mailqueue_up", "what") == {"state": 1, "broker": 1}


def test_parked_and_scheduled_mail_is_in_the_gauges(settings, sink, tmp_path):
    port = fixed_port()
    settings["MAILQUEUE_METRICS_PORT"] = str(port)
    routes.pause_by_hand("default", "a test")
    letter = EmailMessage("x", "x", "a@example.com", ["b@example.com"])
    with worker(settings, tmp_path / "worker.log") as running:
        enqueue([letter, letter])
        enqueue([letter], delay=3600, route="default")
        until(lambda: routes.parked("default") >= 2, 20, lambda: running.log)
        until(lambda: routes.parked("default") + schedule.count() == 3, 20)
        scrape = Scrape(port)
        assert scrape.by("mailqueue_parked_mails", "route") == {"default": routes.parked("default")}
        assert scrape.sum("mailqueue_waiting_mails") == schedule.count()
    assert scrape.by("mailqueue_route_paused", "route") == {"default": 1}
    assert not scrape.values("mailqueue_accepted_total")


@pytest.mark.rabbitmq
def test_with_rabbitmq_what_it_cannot_tell_is_missing(
    settings, rabbitmq_url, queue_name, sink, tmp_path
):
    port = fixed_port()
    settings |= {
        "MAILQUEUE_REDIS_URL": settings["MAILQUEUE_BROKER_URL"],
        "MAILQUEUE_BROKER_URL": rabbitmq_url,
        "MAILQUEUE_METRICS_PORT": str(port),
    }
    conf.configure(**settings)
    load = Load()
    sink.close_the_gate()
    try:
        with worker(settings, tmp_path / "worker.log", "--concurrency", "1") as running:
            load.add(40)
            until(lambda: sink.held == 1, 20, lambda: running.log)
            scrape = Scrape(port)
            assert scrape.by("mailqueue_up", "what") == {"state": 1, "broker": 1}
            assert scrape.sum("mailqueue_queue_batches") > 0
            assert scrape.values("mailqueue_queue_mails") == []
            assert scrape.values("mailqueue_queue_oldest_seconds") == []
            until(lambda: get(port, "/ready")[0] == 200, 20, lambda: get(port, "/ready"))
            sink.open_the_gate()
            until(load.is_done, 30, ledger.totals)
            is_what_the_sink_counted(Scrape(port), sink, load)
    finally:
        delete_rabbitmq_queue(queue_name)


def test_without_a_port_nothing_is_counted(settings, sink, tmp_path):
    load = Load()
    with worker(settings, tmp_path / "worker.log") as running:
        load.add(8)
        until(load.is_done, 30, lambda: running.log)
    from mailqueue.state import get_state

    assert get_state().keys(f"{settings['MAILQUEUE_QUEUE']}:metrics:*") == []
