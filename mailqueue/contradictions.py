"""Settings that contradict each other, each with its remedy: a ``Settings`` in, texts out.

Nothing is changed. What routes name is imported, to see whether it can be.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from mailqueue.errors import ConfigurationError
from mailqueue.routing.arguments import QUEUES
from mailqueue.routing.checks import problems
from mailqueue.routing.choosing import load_router
from mailqueue.settings import Settings
from mailqueue.urls import AMQP_SCHEMES, EMBEDDED, scheme

_QUEUE_BACKEND: Final = "mailqueue.backends.queue.EmailBackend"
_SMTPS_PORT: Final = 465
_SUBMISSION_PORT: Final = 587


class Contradiction(NamedTuple):
    """``fatal`` ones keep a worker from starting; the others are worth a look."""

    text: str
    remedy: str
    fatal: bool = False
    #: Never given to another one: Django's checks are silenced by it.
    number: int = 0


def contradictions(settings: Settings) -> Iterator[Contradiction]:
    """What does not hold together in these settings."""
    yield from _queueing(settings)
    yield from _smtp(settings)
    yield from _times(settings)
    yield from _routes(settings)


def _queueing(s: Settings) -> Iterator[Contradiction]:
    broker, state = scheme(s.MAILQUEUE_BROKER_URL or ""), scheme(s.MAILQUEUE_REDIS_URL or "")
    if broker in AMQP_SCHEMES and not state:
        yield Contradiction(
            "MAILQUEUE_BROKER_URL is RabbitMQ, and no Redis is set to hold the state",
            "set MAILQUEUE_REDIS_URL to a Redis that all workers share",
            fatal=True,
            number=2,
        )
    if EMBEDDED in {broker, state} or not (broker or state):
        yield Contradiction(
            "the embedded Redis is in use, which serves one user on one machine",
            "set MAILQUEUE_BROKER_URL to a Redis or RabbitMQ for production",
            number=3,
        )
    if s.MAILQUEUE_DELIVERY_BACKEND in QUEUES:
        yield Contradiction(
            "MAILQUEUE_DELIVERY_BACKEND is the queue itself: mail would go round in circles",
            "set it to the backend that sends, such as mailqueue.backends.smtp.EmailBackend",
            fatal=True,
            number=4,
        )
    if s.EMAIL_BACKEND not in QUEUES:
        yield Contradiction(
            f"EMAIL_BACKEND is {s.EMAIL_BACKEND}: send_mail() does not use the queue",
            f"unset it, or set it to {_QUEUE_BACKEND}",
            number=5,
        )
    if s.MAILQUEUE_DELIVERY_BACKEND.endswith(".filebased.EmailBackend") and not s.EMAIL_FILE_PATH:
        yield Contradiction(
            "mail is delivered into files, and EMAIL_FILE_PATH does not say where",
            "set EMAIL_FILE_PATH to a directory",
            fatal=True,
            number=6,
        )


def _smtp(s: Settings) -> Iterator[Contradiction]:
    if s.EMAIL_USE_TLS and s.EMAIL_USE_SSL:
        yield Contradiction(
            "EMAIL_USE_TLS and EMAIL_USE_SSL are both on",
            "keep EMAIL_USE_SSL for port 465, EMAIL_USE_TLS for any other",
            fatal=True,
            number=7,
        )
    elif s.EMAIL_PORT == _SMTPS_PORT and not s.EMAIL_USE_SSL:
        yield Contradiction(
            "EMAIL_PORT is 465, where servers expect TLS from the first byte",
            "set EMAIL_USE_SSL=true (and EMAIL_USE_TLS=false)",
            number=8,
        )
    elif s.EMAIL_PORT == _SUBMISSION_PORT and s.EMAIL_USE_SSL:
        yield Contradiction(
            "EMAIL_PORT is 587, where servers expect STARTTLS",
            "set EMAIL_USE_TLS instead of SSL",
            number=9,
        )
    if bool(s.EMAIL_HOST_USER) != bool(s.EMAIL_HOST_PASSWORD):
        yield Contradiction(
            "only one of EMAIL_HOST_USER and EMAIL_HOST_PASSWORD is set, so there is no login",
            "set both, or none",
            number=10,
        )
    encrypted = s.EMAIL_USE_TLS or s.EMAIL_USE_SSL
    local = s.EMAIL_HOST in {"localhost", "127.0.0.1", "::1"}
    if s.EMAIL_HOST_PASSWORD and not encrypted and not local:
        yield Contradiction(
            "the SMTP password would cross the network unencrypted",
            "set EMAIL_USE_TLS=true or EMAIL_USE_SSL=true",
            number=11,
        )
    if s.EMAIL_SSL_KEYFILE and not s.EMAIL_SSL_CERTFILE:
        yield Contradiction(
            "EMAIL_SSL_KEYFILE is set without the certificate that it belongs to",
            "set EMAIL_SSL_CERTFILE",
            fatal=True,
            number=12,
        )


def _routes(s: Settings) -> Iterator[Contradiction]:
    for found in problems(s):
        yield Contradiction(*found, fatal=True, number=13)
    if s.MAILQUEUE_ROUTER:
        try:
            load_router(s.MAILQUEUE_ROUTER)
        except ConfigurationError as error:  # no mail can be enqueued; a worker needs no router
            text, _, remedy = str(error).rpartition("; ")
            yield Contradiction(text, remedy, number=14)


def _times(s: Settings) -> Iterator[Contradiction]:
    if s.EMAIL_TIMEOUT is None:
        yield Contradiction(
            "EMAIL_TIMEOUT is unset: a silent SMTP server would hold a worker for ever",
            "set EMAIL_TIMEOUT=60",
            number=15,
        )
