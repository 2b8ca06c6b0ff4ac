"""The Django example, started as its README says."""

import re

import pytest
from support.brokers import free_port
from support.example_apps import (
    LINE_BREAK,
    arrived,
    parsed,
    running,
    served,
    worker_block,
    worker_command,
)
from support.processes import until, worker
from support.smtp import SmtpServer

NAME = "django_site"
LETTER = {"address": "carla@example.com", "subject": "Two pens", "text": "Have you two pens?"}
NEWS = {"issue": "2026-11", "subject": "News of November", "text": "In short."}
PASSWORD = "correct horse battery"


def settings_for(directory, **settings):
    """``createsuperuser --noinput`` takes the password from here."""
    return {
        "DATABASE": str(directory / "db.sqlite3"),
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        **settings,
    }


def post(client, path, data):
    """As a browser does: with the token of the page before."""
    if "csrftoken" not in client.cookies:
        client.get("/accounts/password_reset/")
    token = client.cookies["csrftoken"]
    return client.post(path, data=data | {"csrfmiddlewaretoken": token})


def log_in(client):
    answer = post(client, "/admin/login/", {"username": "ann", "password": PASSWORD})
    assert answer.status_code == 302


@pytest.fixture(scope="module")
def shop(redis_server, tmp_path_factory):
    """The application and its worker, delivering to a server that tells what it got."""
    directory = tmp_path_factory.mktemp("django")
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
            worker(settings, directory / "worker.log", command=worker_command(NAME)),
        ):
            yield client, smtp


def test_the_contact_form_arrives(shop):
    client, smtp = shop
    assert "csrfmiddlewaretoken" in client.get("/").text
    answer = post(client, "/contact", LETTER)
    assert answer.status_code == 200
    assert "Thank you" in answer.text
    (mail,) = arrived(smtp, LETTER["subject"])
    assert mail["To"] == "desk@shop.example"
    assert mail["Reply-To"] == LETTER["address"]
    assert mail["From"] == "Our Shop <shop@shop.example>"
    assert mail.get_content().strip() == LETTER["text"]


@pytest.mark.parametrize(
    ("bad", "words"),
    [({"subject": LINE_BREAK}, "Subject"), ({"address": "<b>none"}, "valid email address")],
)
def test_bad_input_is_answered_400_with_the_reason(shop, bad, words):
    client, smtp = shop
    before = len(smtp.received)
    answer = post(client, "/contact", LETTER | bad)
    assert answer.status_code == 400
    assert words in answer.text
    assert "<b>" not in answer.text
    assert len(smtp.received) == before


def test_a_form_without_its_token_is_refused(shop):
    client, _ = shop
    assert client.post("/contact", data=LETTER).status_code == 403


def test_an_order_that_is_rolled_back_takes_its_mail_along(shop):
    client, smtp = shop
    answers = [
        post(client, "/order", {"number": number, "address": "dan@example.com"}).status_code
        for number in ("one", "one", "two")
    ]
    assert answers == [200, 409, 200]
    arrived(smtp, "Your order", 2)
    # Of one priority and one after the other: a mail of the second would be here by now.
    bodies = [
        mail.get_content().strip()
        for mail in (parsed(one.content) for one in smtp.received)
        if mail["Subject"] == "Your order"
    ]
    assert sorted(bodies) == ["We have it: one", "We have it: two"]


def test_a_password_is_reset_by_django_s_own_views(shop):
    client, smtp = shop
    answer = post(client, "/accounts/password_reset/", {"email": "ann@example.com"})
    assert answer.status_code == 302
    until(lambda: any("reset" in str(parsed(one.content)["Subject"]) for one in smtp.received))
    (mail,) = [
        mail
        for mail in (parsed(one.content) for one in smtp.received)
        if "Password reset" in str(mail["Subject"])
    ]
    assert mail["To"] == "ann@example.com"
    link = re.search(r"http://\S+", mail.get_content())[0]  # type: ignore[index]
    page = client.get(link, follow_redirects=True)
    assert 'name="new_password1"' in page.text
    # Nobody learns who has an account.
    nobody = post(client, "/accounts/password_reset/", {"email": "nobody@example.com"})
    assert (nobody.status_code, nobody.text) == (answer.status_code, answer.text)


def test_a_newsletter_reaches_everybody_once_and_tells_its_progress(shop):
    client, smtp = shop
    assert post(client, "/newsletter", NEWS).headers["Location"].startswith("/admin/login/")
    log_in(client)
    for _ in range(2):  # an editor who is in doubt presses twice
        answer = post(client, "/newsletter", NEWS)
        assert answer.status_code == 302
    page = answer.headers["Location"]

    def told():
        return client.get(page).json()

    until(lambda: told()["sent"] == 1, 60, told)
    assert told() == {"total": 1, "sent": 1, "deferred": 0, "failed": 0, "waiting": 0}
    (mail,) = arrived(smtp, NEWS["subject"])
    assert mail["To"] == "ann@example.com"


def test_a_broker_that_is_away_is_answered(tmp_path):
    settings = settings_for(
        tmp_path,
        MAILQUEUE_BROKER_URL=f"redis://:hunter2@127.0.0.1:{free_port()}/0",
        MAILQUEUE_ENQUEUE_TIMEOUT="1",
    )
    log = tmp_path / "app.log"
    with served(NAME, settings, log) as client:
        answer = post(client, "/contact", LETTER)
        assert answer.status_code == 503
        assert "try again" in answer.text
        assert answer.headers["Retry-After"] == "60"
        order = {"number": "one", "address": "dan@example.com"}
        assert post(client, "/order", order).status_code == 200
        assert post(client, "/order", order).status_code == 409  # it was saved
        known, unknown = (
            post(client, "/accounts/password_reset/", {"email": address})
            for address in ("ann@example.com", "nobody@example.com")
        )
        assert (known.status_code, known.text) == (302, unknown.text)
        log_in(client)
        assert post(client, "/newsletter", NEWS).status_code == 503
    logged = log.read_text("utf-8")
    assert "1 of 1 messages not enqueued" in logged
    assert "hunter2" not in logged


def test_the_two_terminals_of_the_readme_show_a_mail_without_any_server(tmp_path):
    """The embedded Redis, the console backend: as a newcomer begins."""
    settings = settings_for(tmp_path, HOME=str(tmp_path), XDG_DATA_HOME=str(tmp_path / "data"))
    log = tmp_path / "worker.log"
    with (
        served(NAME, settings, tmp_path / "app.log") as client,
        running(NAME, worker_block(NAME), settings, log),
    ):
        assert post(client, "/contact", LETTER).status_code == 200
        until(lambda: LETTER["text"] in log.read_text(), 60, log.read_text)
        assert f"Subject: {LETTER['subject']}" in log.read_text()
