"""Celery's application, deaf to what the environment says to another one.

Celery takes ``CELERY_BROKER_URL`` and ``CELERY_RESULT_BACKEND`` from the environment before its
configuration. Where the program has tasks of its own, these are for them; our mail would go to
their broker, or our worker listen at it.
"""

from typing import Any

from celery import Celery


class Application(Celery):
    """Its broker is that of its configuration, and it has no result backend."""

    backend_cls = "disabled"

    def connection_for_read(self, url: str | None = None, **options: Any) -> Any:
        """Connect to consume."""
        return super().connection_for_read(url or self._configured_url(), **options)

    def connection_for_write(self, url: str | None = None, **options: Any) -> Any:
        """Connect to produce."""
        return super().connection_for_write(url or self._configured_url(), **options)

    def connection(self, hostname: str | None = None, *arguments: Any, **options: Any) -> Any:
        """Connect; Celery's older name for it."""
        return super().connection(hostname or self._configured_url(), *arguments, **options)

    def _configured_url(self) -> str:
        conf: Any = self.conf
        url: str = conf.first("broker_url")
        return url
