"""mailqueue in Flask, without a broker: settings, the outbox, two applications in one process."""

import re
from pathlib import Path

import pytest
from flask import Flask

from mailqueue import ConfigurationError, conf, enqueuing, mail_admins, send_mail
from mailqueue.contrib.flask import MailQueue, release_outbox
from mailqueue.contrib.flask_config import FLASK_MAIL
from mailqueue.settings import NAMES

PAGE = Path(__file__).parents[2] / "docs" / "flask.md"
DATA = ("Welcome", "Good to have you.", "us@example.com", ["ann@example.com"])


@pytest.fixture(autouse=True)
def _broker_back():
    yield
    release_outbox()


def app(name="shop", **config) -> Flask:
    made = Flask(name)
    made.config.update(config)

    @made.post("/")
    def send() -> str:
        return str(send_mail(*DATA))

    return made


def test_settings_of_the_application_hold():
    mail = MailQueue()
    made = app(MAILQUEUE_QUEUE="shop", EMAIL_HOST="mail.example.com", EMAIL_PORT="587")
    mail.init_app(made)
    assert made.extensions["mailqueue"] is mail
    settings = conf.get_settings()
    assert settings.MAILQUEUE_QUEUE == "shop"
    assert (settings.EMAIL_HOST, settings.EMAIL_PORT) == ("mail.example.com", 587)


def test_every_setting_is_read_from_the_configuration():
    for name in NAMES:
        conf.reset()
        value = [["Ann", "ann@example.com"]] if name in {"ADMINS", "MANAGERS"} else "no such value"
        try:
            MailQueue(app(**{name: value}))
        except ConfigurationError as error:
            assert name in str(error)  # noqa: PT017 - most texts are fine
        else:
            assert name in conf._configured


def test_none_says_nothing(monkeypatch):
    monkeypatch.setenv("MAILQUEUE_QUEUE", "from-environment")
    conf.reset()
    MailQueue(app(MAILQUEUE_QUEUE=None, MAIL_USERNAME=None))
    assert conf.get_settings().MAILQUEUE_QUEUE == "from-environment"


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"EMAIL_PORT": "smtp"}, "EMAIL_PORT"),
        ({"MAIL_PORT": 70_000}, "EMAIL_PORT"),
        ({"MAILQUEUE_BATCH_SIZE": 0}, "MAILQUEUE_BATCH_SIZE"),
        ({"MAILQUEUE_BROKER": "redis://localhost"}, "MAILQUEUE_BROKER"),
        ({"ADMINS": "ann@example.com"}, "ADMINS"),
        ({"MANAGERS": [("Ann", "ann@example.com", "?")]}, "MANAGERS"),
    ],
)
def test_wrong_values_are_told_by_name_and_change_nothing(config, name):
    with pytest.raises(ConfigurationError, match=rf"\b{name}\b"):
        MailQueue(app(**config))
    assert conf._configured == {}


def test_names_of_flask_mail_are_read_and_ours_win():
    MailQueue(
        app(
            MAIL_SERVER="mail.example.com",
            MAIL_PORT=2525,
            MAIL_USE_TLS=True,
            MAIL_USERNAME="shop",
            MAIL_PASSWORD="hunter2",
            MAIL_DEFAULT_SENDER=("The Shop", "shop@example.com"),
            EMAIL_PORT=587,
        )
    )
    settings = conf.get_settings()
    assert (settings.EMAIL_HOST, settings.EMAIL_PORT) == ("mail.example.com", 587)
    assert settings.EMAIL_USE_TLS
    assert (settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD) == ("shop", "hunter2")
    assert settings.DEFAULT_FROM_EMAIL == "The Shop <shop@example.com>"


def test_the_page_has_the_table_of_these_names():
    rows = re.findall(r"^\| `(MAIL_\w+)` \| `(\w+)`", PAGE.read_text("utf-8"), re.MULTILINE)
    assert dict(rows) == FLASK_MAIL
    assert set(FLASK_MAIL.values()) <= set(NAMES)


def test_addresses_alone_are_people_too(mailqueue_outbox):
    MailQueue(app(ADMINS=["ann@example.com", ("Bob", "bob@example.com")]))
    mail_admins("Trouble", "See the log.")
    assert mailqueue_outbox[0].to == ["ann@example.com", "bob@example.com"]


# Several applications in one process


def test_a_second_application_with_the_same_settings_is_welcome():
    MailQueue(app("shop", MAILQUEUE_QUEUE="shop"))
    MailQueue(app("desk", MAILQUEUE_QUEUE="shop"))


@pytest.mark.parametrize("other", [{"MAILQUEUE_QUEUE": "desk"}, {}])
def test_a_second_application_with_others_is_refused(other):
    MailQueue(app("shop", MAILQUEUE_QUEUE="shop"))
    with pytest.raises(ConfigurationError, match=r"MAILQUEUE_QUEUE .*'desk'.*'shop'"):
        MailQueue(app("desk", **other))
    assert conf.get_settings().MAILQUEUE_QUEUE == "shop"


def test_the_refusal_shows_no_secret():
    MailQueue(app("shop", MAIL_PASSWORD="hunter2"))
    with pytest.raises(ConfigurationError, match="EMAIL_HOST_PASSWORD") as caught:
        MailQueue(app("desk", MAIL_PASSWORD="correct horse"))
    assert "hunter2" not in str(caught.value)
    assert "horse" not in str(caught.value)


def test_after_a_reset_another_application_may_come():
    MailQueue(app("shop", MAILQUEUE_QUEUE="shop"))
    conf.reset()
    MailQueue(app("desk", MAILQUEUE_QUEUE="desk"))
    assert conf.get_settings().MAILQUEUE_QUEUE == "desk"


# Tests of applications


def test_in_a_test_mail_goes_into_the_outbox_also_when_testing_is_set_late():
    made = app()
    mail = MailQueue(made)
    made.config["TESTING"] = True
    assert made.test_client().post("/").text == "1"
    (message,) = mail.outbox
    assert (message.subject, message.to) == ("Welcome", ["ann@example.com"])
    mail.outbox.clear()
    with made.app_context():
        send_mail(*DATA)
    assert len(mail.outbox) == 1


def test_the_fixture_keeps_its_place(mailqueue_outbox):
    made = app(TESTING=True)
    mail = MailQueue(made)
    made.test_client().post("/")
    assert len(mailqueue_outbox) == 1
    assert mail.outbox == []


@pytest.mark.parametrize("config", [{}, {"TESTING": True, "MAIL_SUPPRESS_SEND": False}])
def test_otherwise_the_broker_gets_it(config):
    tested = app("tested", TESTING=True)
    MailQueue(tested)
    tested.test_client().post("/")
    assert enqueuing.is_replaced()
    made = app("live", **config)
    MailQueue(made)
    with made.app_context():
        assert not enqueuing.is_replaced()


def test_mail_may_be_suppressed_without_testing():
    made = app(MAIL_SUPPRESS_SEND=True)
    mail = MailQueue(made)
    made.test_client().post("/")
    assert len(mail.outbox) == 1


def test_the_commands_are_there_and_show_errors_as_sentences():
    made = app()
    MailQueue(made)
    runner = made.test_cli_runner()
    helped = runner.invoke(args=["mailqueue", "--help"])
    assert helped.exit_code == 0, helped.output
    for command in ("send", "worker", "status", "stats", "failed", "check"):
        assert command in helped.output
    wrong = runner.invoke(args=["mailqueue", "send", "--subject", "x"])
    assert wrong.exit_code == 2
    assert "--to is missing" in wrong.output
