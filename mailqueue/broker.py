"""The part of Celery's configuration that producers and workers must agree on.

Celery is imported with this module, which is why it is loaded only when something is enqueued.
"""

import ssl
from typing import Any, Final, get_args
from urllib.parse import parse_qsl, urlsplit

from celery import Celery
from kombu import Exchange, Queue

from mailqueue.application import Application
from mailqueue.envelope import Priority
from mailqueue.settings import Settings
from mailqueue.urls import AMQP_SCHEMES, broker_url, scheme

#: The task that a batch is; files may move, the name stays.
DELIVER: Final = "mailqueue.deliver"

#: The most urgent first.
PRIORITIES: Final[tuple[Priority, ...]] = get_args(Priority)


def configuration(settings: Settings) -> dict[str, Any]:
    """Celery settings for both sides: broker, queues, JSON only."""
    url = broker_url(settings)
    amqp = scheme(url) in AMQP_SCHEMES
    conf: dict[str, Any] = {
        "broker_url": url,
        "broker_transport_options": {} if amqp else redis_options(settings),
        "task_queues": queues(settings, amqp=amqp),
        "task_default_queue": settings.MAILQUEUE_QUEUE,
        "task_default_exchange": settings.MAILQUEUE_QUEUE,
        "task_default_exchange_type": "direct",
        "task_default_routing_key": settings.MAILQUEUE_QUEUE,
        "task_serializer": "json",
        "accept_content": ["json"],
        # The outcome lives in the state store and in events; a result nobody reads is work.
        "task_ignore_result": True,
        "result_backend": "disabled",
    }
    tls = verified_tls(url)
    if tls:
        conf["broker_use_ssl"] = tls
    return conf


def queues(settings: Settings, *, amqp: bool) -> list[Queue]:
    """A queue for each priority: mail that waits in one is not in the way of another's.

    Quorum queues on RabbitMQ, where classic ones may lose mail with their node.
    """
    exchange = Exchange(settings.MAILQUEUE_QUEUE, type="direct")
    arguments = {"x-queue-type": "quorum"} if amqp else None
    return [
        Queue(name, exchange, routing_key=name, queue_arguments=arguments)
        for name in queue_names(settings).values()
    ]


def queue_names(settings: Settings) -> dict[Priority, str]:
    """The queues by their priority, the most urgent first."""
    return {priority: queue_name(settings.MAILQUEUE_QUEUE, priority) for priority in PRIORITIES}


def queue_name(name: str, priority: Priority) -> str:
    """Mail of normal priority is in the queue of that name, other mail beside it."""
    return name if priority == "normal" else f"{name}.{priority}"


def redis_options(settings: Settings) -> dict[str, Any]:
    """Options of kombu's Redis transport that both sides share.

    The bookkeeping keys carry the queue's name: another Celery application in the same database
    must not requeue our batches by its own timeout, nor we its tasks.
    """
    name = settings.MAILQUEUE_QUEUE
    return {
        "visibility_timeout": settings.MAILQUEUE_VISIBILITY_TIMEOUT,
        "unacked_key": f"{name}:unacked",
        "unacked_index_key": f"{name}:unacked_index",
        # Priorities mean the reverse on RabbitMQ; one queue per priority works on both.
        "priority_steps": [0],
        "socket_keepalive": True,
    }


def verified_tls(url: str) -> dict[str, Any] | None:
    """TLS options for ``rediss://`` and ``amqps://``; kombu's own default verifies nothing.

    A ``rediss://`` URL with ``ssl_…`` parameters of its own (a private authority's
    ``ssl_ca_certs``) is left as it says.
    """
    parts = urlsplit(url)
    if scheme(url) == "rediss":
        own = any(key.startswith("ssl_") for key, _ in parse_qsl(parts.query))
        return None if own else {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
    if scheme(url) == "amqps":
        return {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": parts.hostname}
    return None


def make_app(conf: dict[str, Any]) -> Celery:
    """A Celery application that leaves the program's own current application alone."""
    app = Application("mailqueue", set_as_current=False)
    app.conf.update(conf)
    return app
