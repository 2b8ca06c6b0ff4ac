from pathlib import Path
from typing import Any

import pytest

from mailqueue import conf, configure
from mailqueue.conf import get_settings
from mailqueue.errors import ConfigurationError
from mailqueue.settings import DEFAULTS, NAMES, Settings


def test_a_setting_comes_from_code_then_the_environment_then_its_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert get_settings() == DEFAULTS
    monkeypatch.setenv("EMAIL_HOST", "from.environment")
    conf.reset()
    assert get_settings().EMAIL_HOST == "from.environment"
    configure(EMAIL_HOST="from.code")
    assert get_settings().EMAIL_HOST == "from.code"
    conf.reset()
    assert get_settings().EMAIL_HOST == "from.environment"


def test_an_empty_environment_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMAIL_TIMEOUT", "")
    assert get_settings().EMAIL_TIMEOUT == DEFAULTS.EMAIL_TIMEOUT


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("EMAIL_PORT", "2525", 2525),
        ("EMAIL_USE_TLS", "true", True),
        ("EMAIL_USE_TLS", "True", True),
        ("EMAIL_USE_TLS", "1", True),
        ("EMAIL_USE_SSL", "false", False),
        ("EMAIL_TIMEOUT", "2.5", 2.5),
        ("EMAIL_HOST_PASSWORD", "1234", "1234"),
        ("MAILQUEUE_QUEUE", "a.b-c_D", "a.b-c_D"),
        ("ADMINS", '[["Ann", "ann@example.com"]]', [("Ann", "ann@example.com")]),
        ("MANAGERS", "[]", []),
    ],
)
def test_the_environment_s_texts_become_values(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: Any
) -> None:
    monkeypatch.setenv(name, text)
    assert getattr(get_settings(), name) == value


BAD = [
    ("EMAIL_PORT", "smtp", "`int`"),
    ("EMAIL_PORT", "65536", "<= 65535"),
    ("EMAIL_PORT", "0", ">= 1"),
    ("EMAIL_USE_TLS", "yes please", "`bool`"),
    ("EMAIL_TIMEOUT", "0", "> 0"),
    ("MAILQUEUE_BATCH_SIZE", "0", ">= 1"),
    ("MAILQUEUE_BATCH_BYTES", "-1", ">= 1"),
    ("MAILQUEUE_ENQUEUE_TIMEOUT", "nan", "> 0"),
    ("MAILQUEUE_VISIBILITY_TIMEOUT", "inf", "<= 86400"),
    ("MAILQUEUE_QUEUE", "two words", "A-Za-z0-9._-"),
    ("MAILQUEUE_QUEUE", "line\n", "A-Za-z0-9._-"),
]


@pytest.mark.parametrize(("name", "value", "expected"), BAD)
def test_a_bad_value_in_the_environment_is_named_with_what_belongs_there(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=rf"^{name} in the environment") as caught:
        get_settings()
    assert expected in str(caught.value)


@pytest.mark.parametrize(("name", "value", "expected"), BAD)
def test_a_bad_value_in_code_is_named_and_changes_nothing(
    name: str, value: str, expected: str
) -> None:
    before = configure(EMAIL_HOST="kept")
    with pytest.raises(ConfigurationError, match=rf"^{name} in mailqueue.configure") as caught:
        configure(**{"EMAIL_HOST": "lost", name: value})
    assert expected in str(caught.value)
    assert get_settings() == before


@pytest.mark.parametrize("name", ["ADMINS", "MANAGERS"])
@pytest.mark.parametrize("text", ["ann@example.com", '["ann@example.com"]', "{}", "[[1, 2]]"])
def test_lists_of_people_in_the_environment_show_how_they_are_written(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(ConfigurationError, match=rf'^{name} .*\[\["Ann", "ann@example.com"\]\]'):
        get_settings()


@pytest.mark.parametrize("name", ["EMAIL_HOTS", "email_host", "MAILQUEUE_BROKER"])
def test_an_unknown_name_is_refused_and_changes_nothing(name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"unknown setting '{name}'.*README lists"):
        configure(**{"EMAIL_HOST": "lost", name: "x"})
    assert get_settings() == DEFAULTS


def test_a_secret_of_the_wrong_kind_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError, match="EMAIL_HOST_PASSWORD") as caught:
        configure(EMAIL_HOST_PASSWORD=["geheim"])
    assert "geheim" not in str(caught.value)


def test_calls_of_configure_add_up_and_return_what_holds() -> None:
    configure(EMAIL_HOST="a", EMAIL_PORT=26)
    assert configure(EMAIL_PORT="27") is get_settings()
    assert (get_settings().EMAIL_HOST, get_settings().EMAIL_PORT) == ("a", 27)


def test_paths_may_be_path_objects() -> None:
    assert configure(EMAIL_FILE_PATH=Path("/tmp/mail")).EMAIL_FILE_PATH == "/tmp/mail"


def test_settings_show_what_differs_without_secrets() -> None:
    settings = Settings(
        EMAIL_HOST="smtp.example",
        EMAIL_HOST_PASSWORD="geheim",
        MAILQUEUE_BROKER_URL="redis://:geheim@r",
        MAILQUEUE_REDIS_URL="redis://:geheim@r",
    )
    assert repr(settings) == (
        "Settings(MAILQUEUE_BROKER_URL=***, MAILQUEUE_REDIS_URL=***, "
        "EMAIL_HOST='smtp.example', EMAIL_HOST_PASSWORD=***)"
    )
    assert repr(DEFAULTS) == "Settings()"


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_never_changed_in_place(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(get_settings(), name, "other")
