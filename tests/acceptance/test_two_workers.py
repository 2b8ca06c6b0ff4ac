"""Two workers on one machine, started alike: each has a name of its own."""

from support.processes import python, until, worker

MAILS = (
    "from mailqueue import send_mail\n"
    "for n in range(40): send_mail(f'Mail {n}', 'x', 'a@example.com', ['b@example.com'])"
)


def test_two_workers_share_the_queue_and_stay_out_of_each_others_way(broker, smtp, tmp_path):
    settings = broker | {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(smtp.port)}
    with (
        worker(settings, tmp_path / "one.log") as one,
        worker(settings, tmp_path / "two.log") as two,
    ):
        python(MAILS, settings)
        until(lambda: len(smtp.received) >= 40, 60, lambda: (one.log, two.log))
        until(lambda: "succeeded" in one.log and "succeeded" in two.log, 10)
    assert len(smtp.received) == 40
    for log in (one.log, two.log):
        assert "RESOURCE_LOCKED" not in log
        assert "DuplicateNodename" not in log
        assert "Traceback" not in log
