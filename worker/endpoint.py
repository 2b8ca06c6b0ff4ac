"""``/metrics``, ``/live`` and ``/ready`` at ``MAILQUEUE_METRICS_PORT``, from a thread.

The thread belongs to the worker's main process, so it answers while that is told to stop, and also
while its main loop hangs, which is when it is needed.
"""

import logging
import os
import socket
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, Final

import click
from celery import bootsteps
from redis.exceptions import RedisError

from mailqueue import health
from mailqueue.conf import get_settings
from mailqueue.errors import ConfigurationError
from mailqueue.metrics.counts import instance, read
from mailqueue.metrics.queue import Latest
from mailqueue.state import hasty_state
from worker.health import HealthStep, Reporter

logger = logging.getLogger("mailqueue.worker")

_TEXT: Final = "text/plain; charset=utf-8"
#: Seconds for which numbers of the queue are waited for where the state store is away anyway.
_IMPATIENCE: Final = 1.0


class Endpoint(ThreadingMixIn, TCPServer):
    """The server.

    Args:
        host: Address to listen on.
        port: Its port.
        reporter: Knows how the worker is.

    Raises:
        ConfigurationError: It cannot listen there, or what writes the metrics is not installed.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 32

    def __init__(self, host: str, port: int, reporter: Reporter) -> None:
        try:
            from mailqueue.metrics import exposition  # noqa: PLC0415 - of the optional extra
        except ImportError:
            raise ConfigurationError(
                "MAILQUEUE_METRICS_PORT is set, and prometheus-client is not installed: "
                "pip install 'mailqueue[metrics]', or unset it"
            ) from None
        self._expose = exposition.expose
        self._reporter = reporter
        self._latest = Latest()
        if ":" in host:
            self.address_family = socket.AF_INET6
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise ConfigurationError(
                f"nothing can be served at {host}, port {port} ({error.strerror}): give each "
                "worker of a machine a MAILQUEUE_METRICS_PORT of its own, and MAILQUEUE_METRICS_"
                "HOST an address of this machine"
            ) from None
        # A child that outlives a killed main process must not keep the port.
        os.register_at_fork(after_in_child=self.socket.close)

    def start(self) -> None:
        """Answer, in a thread."""
        threading.Thread(target=self.serve_forever, name="mailqueue-endpoint", daemon=True).start()

    def answer(self, path: str, accept: str) -> tuple[HTTPStatus, bytes, str]:
        """What to say to a request: status, body and content type."""
        match path.partition("?")[0]:
            case "/metrics":
                return HTTPStatus.OK, *self._metrics(accept)
            case "/live" | "/ready" as which:
                judge = health.live if which == "/live" else health.ready
                status = self._reporter.now()
                finding = judge(status, status.written_at)
                code = HTTPStatus.OK if finding.is_well else HTTPStatus.SERVICE_UNAVAILABLE
                return code, f"{finding.text}\n".encode(), _TEXT
        return HTTPStatus.NOT_FOUND, b"/metrics, /live or /ready\n", _TEXT

    def _metrics(self, accept: str) -> tuple[bytes, str]:
        fields = None
        try:
            fields = read(hasty_state(), instance() or "")
        except (RedisError, OSError):
            numbers = self._latest.get(_IMPATIENCE)
        else:
            numbers = self._latest.get()
        return self._expose(
            accept, state_answers=fields is not None, numbers=numbers, fields=fields
        )

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scraper that went away is no news; a fault of ours is."""
        del request, client_address
        error = sys.exception()
        if not isinstance(error, OSError):
            logger.error("a request for metrics could not be answered", exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    #: Seconds for a client to say what it wants.
    timeout = 5
    server: Endpoint
    server_version = "mailqueue"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer."""
        status, body, content_type = self.server.answer(self.path, self.headers.get("Accept", ""))
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Say nothing: a probe comes every few seconds."""


class EndpointStep(bootsteps.StartStopStep):
    """Serves, where ``MAILQUEUE_METRICS_PORT`` is set; until the process ends."""

    requires = (HealthStep,)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        settings = get_settings()
        self._endpoint: Endpoint | None = None
        if settings.MAILQUEUE_METRICS_PORT is not None:
            # Now, before a child is forked or a batch is taken: a worker that cannot be watched
            # as it should be does not start.
            try:
                self._endpoint = Endpoint(
                    settings.MAILQUEUE_METRICS_HOST,
                    settings.MAILQUEUE_METRICS_PORT,
                    parent.reporter,
                )
            except ConfigurationError as error:
                raise click.ClickException(str(error)) from error

    def start(self, parent: Any) -> None:
        """Start with the worker."""
        del parent
        if self._endpoint is not None:
            self._endpoint.start()
