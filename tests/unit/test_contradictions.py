import re
from pathlib import Path
from typing import Any

import pytest

from mailqueue.contradictions import Contradiction, contradictions
from mailqueue.routing.arguments import QUEUES
from mailqueue.routing.route import Route
from mailqueue.settings import Settings

SOUND: dict[str, Any] = {"MAILQUEUE_BROKER_URL": "redis://r.example/0"}
QUEUE = "mailqueue.backends.queue.EmailBackend"


def found(**values: Any) -> list[Contradiction]:
    return list(contradictions(Settings(**values)))


def test_the_defaults_only_say_that_the_embedded_redis_is_in_use() -> None:
    ((text, remedy, fatal, _),) = found()
    assert "embedded Redis" in text
    assert "MAILQUEUE_BROKER_URL" in remedy
    assert not fatal


@pytest.mark.parametrize(
    "values",
    [
        SOUND,
        {"MAILQUEUE_REDIS_URL": "redis://r.example/0"},
        {"MAILQUEUE_BROKER_URL": "amqp://q", "MAILQUEUE_REDIS_URL": "redis://r"},
        SOUND | {"EMAIL_PORT": 465, "EMAIL_USE_SSL": True},
        SOUND | {"EMAIL_PORT": 587, "EMAIL_USE_TLS": True},
        SOUND | {"EMAIL_HOST_USER": "u", "EMAIL_HOST_PASSWORD": "p"},
        SOUND | {"EMAIL_SSL_KEYFILE": "k", "EMAIL_SSL_CERTFILE": "c"},
        SOUND | {"EMAIL_SSL_CERTFILE": "both.pem"},
        SOUND | {"EMAIL_TIMEOUT": 600.0, "MAILQUEUE_VISIBILITY_TIMEOUT": 3.0},
        SOUND
        | {
            "MAILQUEUE_DELIVERY_BACKEND": "mailqueue.backends.filebased.EmailBackend",
            "EMAIL_FILE_PATH": "/tmp/mail",
        },
        {
            "MAILQUEUE_BROKER_URL": "amqp://q",
            "MAILQUEUE_REDIS_URL": "redis://r",
            "EMAIL_TIMEOUT": 1.0,
            "MAILQUEUE_VISIBILITY_TIMEOUT": 10.0,
        },
    ],
)
def test_settings_that_hold_together_are_left_alone(values: dict[str, Any]) -> None:
    assert found(**values) == []


@pytest.mark.parametrize(
    ("values", "text", "remedy", "fatal"),
    [
        ({"MAILQUEUE_BROKER_URL": "amqp://q"}, "RabbitMQ", "MAILQUEUE_REDIS_URL", True),
        ({"MAILQUEUE_BROKER_URL": "embedded://"}, "embedded", "MAILQUEUE_BROKER_URL", False),
        (
            {"MAILQUEUE_BROKER_URL": "amqp://q", "MAILQUEUE_REDIS_URL": "embedded:///d"},
            "embedded",
            "MAILQUEUE_BROKER_URL",
            False,
        ),
        ({"MAILQUEUE_DELIVERY_BACKEND": QUEUE}, "circles", "smtp.EmailBackend", True),
        ({"EMAIL_BACKEND": "a.B"}, "EMAIL_BACKEND is a.B", QUEUE, False),
        (
            {"MAILQUEUE_DELIVERY_BACKEND": "django.core.mail.backends.filebased.EmailBackend"},
            "into files",
            "EMAIL_FILE_PATH",
            True,
        ),
        ({"EMAIL_USE_TLS": True, "EMAIL_USE_SSL": True}, "both on", "465", True),
        ({"EMAIL_PORT": 465}, "465", "EMAIL_USE_SSL=true", False),
        ({"EMAIL_PORT": 465, "EMAIL_USE_TLS": True}, "465", "EMAIL_USE_SSL=true", False),
        ({"EMAIL_PORT": 587, "EMAIL_USE_SSL": True}, "587", "EMAIL_USE_TLS", False),
        ({"EMAIL_HOST_USER": "u"}, "only one", "both, or none", False),
        ({"EMAIL_HOST_PASSWORD": "p"}, "only one", "both, or none", False),
        (
            {"EMAIL_HOST": "smtp.example", "EMAIL_HOST_USER": "u", "EMAIL_HOST_PASSWORD": "geheim"},
            "unencrypted",
            "EMAIL_USE_TLS=true",
            False,
        ),
        ({"EMAIL_SSL_KEYFILE": "k"}, "without the certificate", "EMAIL_SSL_CERTFILE", True),
        ({"EMAIL_TIMEOUT": None}, "for ever", "EMAIL_TIMEOUT=60", False),
    ],
)
def test_each_contradiction_is_named_alone_with_its_remedy(
    values: dict[str, Any], text: str, remedy: str, fatal: bool
) -> None:
    (each,) = found(**SOUND | values)
    assert text in each[0]
    assert remedy in each[1]
    assert each[2] is fatal
    assert "geheim" not in f"{each}"


def test_each_has_a_number_of_its_own() -> None:
    source = Path(contradictions.__code__.co_filename).read_text("utf-8")
    numbers = re.findall(r"number=(\d+)", source)
    assert len(numbers) == source.count("yield Contradiction(")
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("backend", sorted(QUEUES))
def test_the_queue_by_any_of_its_names_is_for_sending_and_not_for_delivering(backend: str) -> None:
    assert found(**SOUND, EMAIL_BACKEND=backend) == []
    (told,) = found(**SOUND, MAILQUEUE_DELIVERY_BACKEND=backend)
    assert "circles" in told.text
    route = Route(name="r", backend=backend)
    (told,) = found(**SOUND, MAILQUEUE_ROUTES={"r": route})
    assert "circles" in told.text
