"""Worker, broker and state store are restarted, in order and not, while mail flows."""

from support.smoke.nodes import CONCURRENCY, status


def test_restarts_cost_no_mail(mail_setup, sink):
    load = mail_setup.load
    sink.pause = 0.05
    load.enqueue(300)
    load.until_arrived(20)
    mail_setup.worker.restart()
    load.until_arrived(20)
    assert load.duplicates == 0

    mail_setup.broker.restart()
    mail_setup.follow()
    load.enqueue(20)
    load.until_arrived(20)

    mail_setup.backend.kill("SIGKILL")
    mail_setup.backend.restart()
    mail_setup.follow()
    load.enqueue(20)
    load.until_arrived(20)
    sink.pause = 0.0
    load.until_settled()
    assert load.duplicates <= CONCURRENCY
    assert status(mail_setup.worker) == "running"
