"""Signals to a worker amid its work, and what each may cost: never a mail, seldom a second copy."""

from support.processes import until
from support.smoke.nodes import CONCURRENCY, status

#: Duplicates that each may cost: one for each connection of a worker that could not say what became
#: of the mail in its hands.
MOST = {"SIGTERM": 0, "SIGINT": 0, "SIGQUIT": CONCURRENCY, "SIGKILL": CONCURRENCY}
#: How it ends, where that is promised.
CODES = {"SIGTERM": 0, "SIGINT": 0, "SIGKILL": 137}


def test_a_signal_costs_no_mail(mail_setup, sink):
    load, worker = mail_setup.load, mail_setup.worker
    for signal, most in MOST.items():
        before = load.duplicates
        # The worst that a server can do: it has taken the mail, and takes its time to say so.
        sink.pause = 0.1
        load.enqueue(60)
        load.until_arrived(10)
        worker.kill(signal)
        until(lambda: status(worker) == "exited", 60, worker.logs)
        assert load.promised - load.arrived, f"{signal} came too late"
        code = worker.container.attrs["State"]["ExitCode"]
        assert code == CODES.get(signal, code), signal
        sink.pause = 0.0
        worker.restart()
        load.until_settled()
        assert load.duplicates - before <= most, signal
    assert "Traceback" not in worker.logs()
