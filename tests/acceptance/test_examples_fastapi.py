"""The FastAPI example, started as its README says, with each broker."""

import re

import pytest
from support.brokers import delete_rabbitmq_queue, free_port
from support.example_apps import (
    LINE_BREAK,
    app_command,
    arrived,
    running,
    served,
    worker_block,
    worker_command,
)
from support.processes import until, worker
from support.smtp import SmtpServer

NAME = "fastapi_app"
LETTER = {"address": "carla@example.com", "subject": "Two pens", "text": "Have you two pens?"}
EDITOR = {"Authorization": "Bearer for-trying-out-only"}
NEWS = {"issue": "2026-11", "subject": "News of November", "text": "In short."}


@pytest.fixture(
    scope="module", params=["redis", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)]
)
def shop(request, redis_server, tmp_path_factory):
    """The application and its worker, delivering to a server that tells what it got."""
    directory = tmp_path_factory.mktemp("fastapi")
    with SmtpServer() as smtp:
        settings = {
            "MAILQUEUE_BROKER_URL": redis_server.tcp_url,
            "MAILQUEUE_QUEUE": f"test-{directory.name}-{smtp.port}",
            "EMAIL_HOST": "127.0.0.1",
            "EMAIL_PORT": str(smtp.port),
        }
        if request.param == "rabbitmq":
            settings["MAILQUEUE_BROKER_URL"] = request.getfixturevalue("rabbitmq_url")
            settings["MAILQUEUE_REDIS_URL"] = redis_server.tcp_url
        with (
            served(NAME, settings, directory / "app.log") as client,
            worker(settings, directory / "worker.log", command=worker_command(NAME)),
        ):
            yield client, smtp
        if request.param == "rabbitmq":
            delete_rabbitmq_queue(settings["MAILQUEUE_QUEUE"])


def test_the_contact_form_arrives(shop):
    client, smtp = shop
    answer = client.post("/contact", json=LETTER)
    assert answer.status_code == 202
    assert "Thank you" in answer.json()["detail"]
    (mail,) = arrived(smtp, LETTER["subject"])
    assert mail["To"] == "desk@shop.example"
    assert mail["Reply-To"] == LETTER["address"]
    assert mail["From"] == "Our Shop <shop@shop.example>"
    assert mail.get_content().strip() == LETTER["text"]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"subject": LINE_BREAK}, "Subject"),
        ({"address": "carla@example.com, all@example.com"}, "only carla@"),
    ],
)
def test_bad_input_is_answered_400_with_the_reason(shop, bad, words):
    client, smtp = shop
    before = len(smtp.received)
    answer = client.post("/contact", json=LETTER | bad)
    assert answer.status_code == 400
    assert words in answer.json()["detail"]
    assert len(smtp.received) == before


def test_a_password_is_reset_once_by_its_link(shop):
    client, smtp = shop
    answer = client.post("/reset", json={"address": "ann@example.com"})
    (mail,) = arrived(smtp, "Your new password")
    assert mail["To"] == "ann@example.com"
    link = re.search(r"http://\S+", mail.get_content())[0]  # type: ignore[index]
    assert client.post(link, json={"password": "correct horse"}).status_code == 200
    assert client.post(link, json={"password": "another"}).status_code == 404
    # Nobody learns who has an account.
    nobody = client.post("/reset", json={"address": "nobody@example.com"})
    assert (nobody.status_code, nobody.text) == (answer.status_code, answer.text)


def test_a_newsletter_reaches_everybody_once_and_tells_its_progress(shop):
    client, smtp = shop
    for _ in range(2):  # an editor who is in doubt presses twice
        answer = client.post("/newsletter", json=NEWS, headers=EDITOR)
        assert answer.status_code == 202
    page = answer.json()["progress"]

    def told():
        return client.get(page, headers=EDITOR).json()

    until(lambda: told()["sent"] == 2, 60, told)
    assert told() == {"total": 2, "sent": 2, "deferred": 0, "failed": 0, "waiting": 0}
    mails = arrived(smtp, NEWS["subject"], 2)
    assert sorted(mail["To"] for mail in mails) == ["ann@example.com", "bob@example.com"]


def test_editors_alone_send_newsletters(shop):
    client, _ = shop
    for headers, status in (({}, {401, 403}), ({"Authorization": "Bearer guessed"}, {403})):
        assert client.post("/newsletter", json=NEWS, headers=headers).status_code in status
        assert client.get("/newsletter/2026-11", headers=headers).status_code in status


def test_a_broker_that_is_away_is_answered(tmp_path):
    settings = {
        "MAILQUEUE_BROKER_URL": f"redis://:hunter2@127.0.0.1:{free_port()}/0",
        "MAILQUEUE_ENQUEUE_TIMEOUT": "1",
    }
    log = tmp_path / "app.log"
    with served(NAME, settings, log) as client:
        answer = client.post("/contact", json=LETTER)
        assert answer.status_code == 503
        assert "try again" in answer.json()["detail"]
        assert answer.headers["Retry-After"] == "60"
        assert client.post("/newsletter", json=NEWS, headers=EDITOR).status_code == 503
        known, unknown = (
            client.post("/reset", json={"address": address})
            for address in ("ann@example.com", "nobody@example.com")
        )
        assert (known.status_code, known.text) == (202, unknown.text)
        # It is sent after the answer.
        until(lambda: "1 of 1 messages not enqueued" in log.read_text(), 30, log.read_text)
    logged = log.read_text("utf-8")
    assert "started without the broker" in logged
    assert "hunter2" not in logged
    assert "ann@example.com" not in logged
    assert "Traceback" not in logged


def test_the_two_terminals_of_the_readme_show_a_mail_without_any_server(tmp_path):
    """The embedded Redis, the console backend: as a newcomer begins."""
    settings = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    log = tmp_path / "worker.log"
    assert app_command(NAME) == "uvicorn app:app"
    with (
        served(NAME, settings, tmp_path / "app.log") as client,
        running(NAME, worker_block(NAME), settings, log),
    ):
        assert client.post("/contact", json=LETTER).status_code == 202
        until(lambda: LETTER["text"] in log.read_text(), 60, log.read_text)
        assert f"Subject: {LETTER['subject']}" in log.read_text()
