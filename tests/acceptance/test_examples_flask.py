"""The Flask example, started as its README says: forms posted, mail arrived, trouble answered."""

import re
import sqlite3

import pytest
import redis
from support.brokers import free_port
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

NAME = "flask_app"
LETTER = {"address": "carla@example.com", "subject": "Two pens", "text": "Have you two pens?"}
EDITOR = ("editor", "for trying out only")
NEWS = {"issue": "2026-11", "subject": "News of November", "text": "In short."}


def settings_for(directory, **settings):
    return {"FLASK_DATABASE": str(directory / "shop.sqlite3"), **settings}


@pytest.fixture(scope="module")
def shop(redis_server, tmp_path_factory):
    """The application and its worker, delivering to a server that tells what it got."""
    directory = tmp_path_factory.mktemp("flask")
    with SmtpServer() as smtp:
        settings = settings_for(
            directory,
            MAILQUEUE_BROKER_URL=redis_server.tcp_url,
            MAILQUEUE_QUEUE=f"test-{directory.name}-{smtp.port}",
            EMAIL_HOST="127.0.0.1",
            EMAIL_PORT=str(smtp.port),
        )
        with (
            served(NAME, settings, directory / "app.log") as client,
            worker(settings, directory / "worker.log", command=worker_command(NAME)) as delivering,
        ):
            yield client, smtp, settings
        assert LETTER["address"] not in delivering.log


def test_the_contact_form_arrives(shop):
    client, smtp, _ = shop
    page = client.get("/")
    assert 'action="/contact"' in page.text
    answer = client.post("/contact", data=LETTER)
    assert answer.status_code == 200
    assert "Thank you" in answer.text
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
        ({"address": "<b>@@example.com"}, "&lt;b&gt;"),
    ],
)
def test_bad_input_is_answered_400_with_the_reason(shop, bad, words):
    client, smtp, _ = shop
    before = len(smtp.received)
    answer = client.post("/contact", data=LETTER | bad)
    assert answer.status_code == 400
    assert words in answer.text
    assert "<b>" not in answer.text
    assert len(smtp.received) == before


def test_a_form_of_another_site_is_refused(shop):
    client, _, _ = shop
    for site, status in (("cross-site", 403), ("same-origin", 200)):
        answer = client.post("/contact", data=LETTER, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == status


def test_a_password_is_reset_once_by_its_link(shop):
    client, smtp, settings = shop
    answer = client.post("/reset", data={"address": "ann@example.com"})
    (mail,) = arrived(smtp, "Your new password")
    assert mail["To"] == "ann@example.com"
    link = re.search(r"http://\S+", mail.get_content())[0]  # type: ignore[index]
    assert 'type="password"' in client.get(link).text
    assert client.post(link, data={"password": "correct horse"}).status_code == 200
    with sqlite3.connect(settings["FLASK_DATABASE"]) as database:
        ((password,),) = database.execute(
            "select password from people where address = 'ann@example.com'"
        )
    assert password.startswith("scrypt:")
    assert client.post(link, data={"password": "another"}).status_code == 404
    # Nobody learns who has an account.
    assert client.post("/reset", data={"address": "nobody@example.com"}).text == answer.text


def test_a_link_is_made_of_no_stranger_s_host(shop):
    client, _, _ = shop
    answer = client.post(
        "/reset", data={"address": "bob@example.com"}, headers={"Host": "evil.example"}
    )
    assert answer.status_code == 400


def test_a_newsletter_reaches_everybody_once_and_tells_its_progress(shop):
    client, smtp, settings = shop
    with sqlite3.connect(settings["FLASK_DATABASE"]) as database:
        more = [(f"reader{n}@example.com",) for n in range(118)]
        database.executemany("insert into people (address) values (?)", more)
    for _ in range(2):  # an editor who is in doubt presses twice
        answer = client.post("/newsletter", data=NEWS, auth=EDITOR)
        assert answer.status_code == 302
    page = answer.headers["Location"]

    def told():
        return client.get(page, auth=EDITOR).json()

    until(lambda: told()["sent"] == 120, 60, told)
    assert told() == {"total": 120, "sent": 120, "deferred": 0, "failed": 0, "waiting": 0}
    mails = arrived(smtp, NEWS["subject"], 120)
    assert len(mails) == 120
    assert len({mail["To"] for mail in mails}) == 120
    assert all(mail["List-Unsubscribe"] for mail in mails)


@pytest.mark.parametrize("auth", [None, ("editor", "guessed")])
def test_editors_alone_send_newsletters(shop, auth):
    client, _, _ = shop
    assert client.post("/newsletter", data=NEWS, auth=auth).status_code == 401
    assert client.get("/newsletter/2026-11", auth=auth).status_code == 401


def test_a_broker_that_is_away_is_answered(tmp_path):
    settings = settings_for(
        tmp_path,
        MAILQUEUE_BROKER_URL=f"redis://:hunter2@127.0.0.1:{free_port()}/0",
        MAILQUEUE_ENQUEUE_TIMEOUT="1",
    )
    log = tmp_path / "app.log"
    with served(NAME, settings, log) as client:
        answer = client.post("/contact", data=LETTER)
        assert answer.status_code == 503
        assert "try again" in answer.text
        assert answer.headers["Retry-After"] == "60"
        assert client.post("/newsletter", data=NEWS, auth=EDITOR).status_code == 503
        known, unknown = (
            client.post("/reset", data={"address": address})
            for address in ("ann@example.com", "nobody@example.com")
        )
        assert (known.status_code, known.text) == (200, unknown.text)
    logged = log.read_text("utf-8")
    assert "1 of 1 messages not enqueued" in logged
    assert "hunter2" not in logged
    assert "ann@example.com" not in logged
    assert "Traceback" not in logged


def test_the_two_terminals_of_the_readme_show_a_mail_without_any_server(tmp_path):
    """The embedded Redis, the console backend: as a newcomer begins."""
    settings = settings_for(tmp_path, HOME=str(tmp_path), XDG_DATA_HOME=str(tmp_path / "data"))
    log = tmp_path / "worker.log"
    assert app_command(NAME) == "flask run"
    with (
        served(NAME, settings, tmp_path / "app.log") as client,
        running(NAME, worker_block(NAME), settings, log),
    ):
        assert client.post("/contact", data=LETTER).status_code == 200
        until(lambda: LETTER["text"] in log.read_text(), 60, log.read_text)
        assert f"Subject: {LETTER['subject']}" in log.read_text()


def test_the_application_s_settings_are_the_worker_s(redis_server, queue_name, tmp_path):
    """``flask mailqueue`` reads ``app.config``, which no other command knows."""
    settings = settings_for(
        tmp_path,
        FLASK_MAILQUEUE_BROKER_URL=redis_server.tcp_url,
        FLASK_MAILQUEUE_QUEUE=queue_name,
    )
    with served(NAME, settings, tmp_path / "app.log") as client:
        assert client.post("/contact", data=LETTER).status_code == 200
    store = redis.Redis.from_url(redis_server.tcp_url)
    assert store.llen(queue_name) == 1
    with SmtpServer() as smtp:
        settings |= {"FLASK_MAIL_SERVER": "127.0.0.1", "FLASK_MAIL_PORT": str(smtp.port)}
        with worker(settings, tmp_path / "worker.log", command=worker_command(NAME)):
            arrived(smtp, LETTER["subject"])
