"""A program has Celery tasks of its own, and an environment that is set up for them."""

from support.processes import python, until, worker

ANOTHER = {
    "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
    "CELERY_BROKER_READ_URL": "redis://127.0.0.1:1/0",
    "CELERY_BROKER_WRITE_URL": "redis://127.0.0.1:1/0",
    "CELERY_RESULT_BACKEND": "redis://127.0.0.1:1/1",
    "BROKER_URL": "redis://127.0.0.1:1/0",
    "RESULT_BACKEND": "db+nothing://",
    "CONFIG_MODULE": "shop.celeryconfig",
    "LOADER": "shop.loader:Loader",
    "APP": "shop",
}
SEND = (
    "from mailqueue import send_mail\n"
    "send_mail('Hi', 'x', 'a@example.com', ['b@example.com'])\n"
    "from mailqueue.desk.queue_length import queue_length\n"
    "assert not queue_length().trouble, queue_length()"
)


def test_is_none_of_our_business(broker, smtp, tmp_path):
    settings = broker | {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(smtp.port)} | ANOTHER
    with worker(settings, tmp_path / "worker.log") as running:
        python(SEND, settings)
        until(lambda: smtp.received, 30, lambda: running.log)
        until(lambda: "succeeded" in running.log, 10, lambda: running.log)
    assert "127.0.0.1:1/" not in running.log
    assert "Traceback" not in running.log
