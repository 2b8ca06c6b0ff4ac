"""mailqueue's parts of pytest-celery's setup: the worker's container, Redis that keeps its data.

The matrix's result backend stands for the state store: mailqueue has no results.
"""

from typing import Any

from pytest_celery import (  # type: ignore[import-untyped]
    CeleryTestNode,
    CeleryTestSetup,
    CeleryWorkerContainer,
    RedisContainer,
)

from mailqueue import conf
from support.killing.sink import RecordingSink
from support.smoke.load import Load

#: SMTP connections of a worker.
CONCURRENCY = 2


class DurableRedis(RedisContainer):
    """With the options that mailqueue asks for."""

    @classmethod
    def command(cls, *args: str, **kwargs: Any) -> list[str]:
        # The last one counts.
        return super().command("--appendonly", "yes", "--appendfsync", "everysec", *args, **kwargs)


class MailWorker(CeleryWorkerContainer):
    """Our worker, by its own command and with its own settings."""

    @classmethod
    def command(cls, *args: str, **kwargs: Any) -> list[str]:
        del kwargs
        return ["worker", "--loglevel", "INFO", "--concurrency", str(CONCURRENCY), *args]

    @property
    def ready_prompt(self) -> str:
        return " ready."

    @classmethod
    def initial_env(
        cls, celery_worker_cluster_config: dict[str, Any], initial: dict[str, str] | None = None
    ) -> dict[str, str]:
        return (initial or {}) | addresses(celery_worker_cluster_config, "urls")


def status(node: CeleryTestNode) -> str:
    """What its container does now: ``running`` or ``exited``."""
    node.container.reload()
    return str(node.container.status)


def addresses(config: dict[str, Any], which: str) -> dict[str, str]:
    """Settings that name the broker and the state store.

    Args:
        which: ``urls``, as containers see them, or ``host_urls``, as the tests do.
    """
    return {
        "MAILQUEUE_BROKER_URL": config["celery_broker_cluster_config"][which][0],
        "MAILQUEUE_REDIS_URL": config["celery_backend_cluster_config"][which][0],
    }


class MailSetup(CeleryTestSetup):
    """A broker, a state store, workers, and a server that mail arrives at.

    Attributes:
        load: The mail that goes through it.
    """

    load: Load

    def use(self, settings: dict[str, str], sink: RecordingSink) -> None:
        """Send mail through it from here, to this server."""
        self.load = Load(sink, lambda: "\n".join(one.logs()[-3000:] for one in self.worker_cluster))
        conf.configure(**settings)
        self.follow()

    def follow(self) -> None:
        """Find broker and state store again: Docker gives new ports where one was restarted."""
        conf.configure(
            MAILQUEUE_BROKER_URL=self.broker.config()["host_url"],
            MAILQUEUE_REDIS_URL=self.backend.config()["host_url"],
        )
