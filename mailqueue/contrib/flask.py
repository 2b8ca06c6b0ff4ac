"""mailqueue in Flask: settings from ``app.config``, ``flask mailqueue …``, an outbox for tests.

    from mailqueue.contrib.flask import MailQueue

    mailqueue = MailQueue()

    def create_app():
        app = Flask(__name__)
        app.config["MAILQUEUE_BROKER_URL"] = "redis://localhost:6379/0"
        mailqueue.init_app(app)
        return app

Mail is sent by ``mailqueue.send_mail`` and its siblings, within a request or without one.
"""

import logging
import os
import threading
from contextlib import ExitStack
from typing import Any, Final, NamedTuple

from flask import Flask, appcontext_pushed

from mailqueue import conf, enqueuing
from mailqueue.cli import main
from mailqueue.contrib.flask_config import settings_of, suppressed
from mailqueue.errors import ConfigurationError, EnqueueError
from mailqueue.message import EmailMessage
from mailqueue.settings import SECRET
from mailqueue.testing.modes import capturing, outboxes

logger = logging.getLogger("mailqueue")


class _First(NamedTuple):
    """The first application of this process, and what it said; it holds until ``conf.reset()``."""

    name: str
    given: dict[str, Any]
    resets: int


_first: _First | None = None


class MailQueue:
    """The extension.

    Args:
        app: The application; without it, call ``init_app`` later.

    Attributes:
        outbox: Mail that was not sent because the application is being tested, as a worker would
            have rebuilt it.
    """

    def __init__(self, app: Flask | None = None) -> None:
        self.outbox: list[EmailMessage] = _outbox
        self._warmed: int | None = None
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Take the settings of ``app.config`` and add the commands ``flask mailqueue …``.

        Nothing is connected before the first request, so that a server may fork after this.

        Raises:
            ConfigurationError: A setting is wrong, or another application of this process has set
                it otherwise: settings hold for a whole process.
        """
        _configure(app)
        app.extensions["mailqueue"] = self
        app.cli.add_command(main, "mailqueue")
        app.before_request(self._at_first_request)
        appcontext_pushed.connect(_capture_tests, app)

    def warm_up(self) -> None:
        """Import Celery and connect to the broker now, for a server's hook that runs after a fork.

        A broker that is away is logged, and nothing is raised. Without this call a thread does it
        at the first request of each process.
        """
        self._warmed = os.getpid()
        if enqueuing.is_replaced():
            return
        try:
            enqueuing.warm_up()
        except EnqueueError as error:
            logger.warning("the broker does not answer yet: %s", error)

    def _at_first_request(self) -> None:
        # By process: what a server loads before it forks must not count for its children.
        if self._warmed != os.getpid() and not enqueuing.is_replaced():
            self._warmed = os.getpid()
            threading.Thread(target=self.warm_up, name="mailqueue-warm-up", daemon=True).start()


def _configure(app: Flask) -> None:
    global _first  # noqa: PLW0603 - settings are the process's
    given = settings_of(app)
    if _first is not None and _first.resets == conf.resets():
        _same(app, given, _first)
    conf.configure(**given)
    _first = _First(app.name, given, conf.resets())


def _same(app: Flask, given: dict[str, Any], first: _First) -> None:
    names = sorted(given.keys() | first.given.keys())
    for name in names:
        here, there = given.get(name), first.given.get(name)
        if here == there:
            continue
        values = "" if name in SECRET else f" ({here!r}, not {there!r})"
        raise ConfigurationError(
            f"{name} of the Flask application {app.name!r} differs from that of {first.name!r} in "
            f"the same process{values}; settings hold for a whole process: give both the same, or "
            "run each in a process of its own"
        )


# Tests. The list is the process's, as the broker that it stands for is.
_outbox: Final[list[EmailMessage]] = []
_capturing = ExitStack()


def _capture_tests(app: Flask, **_: object) -> None:
    """Put the outbox into the broker's place when an application that is being tested wakes up.

    Asked at each context, since ``TESTING`` is often set after ``init_app``. A fixture of
    ``mailqueue.testing`` that is in use keeps its place.
    """
    if suppressed(app) and not enqueuing.is_replaced():
        logger.warning("TESTING is on: mail goes into the outbox of this process, not to a broker")
        _capturing.enter_context(capturing(_outbox))
    elif not suppressed(app) and enqueuing.is_replaced():
        release_outbox()


def release_outbox() -> None:
    """Empty the outbox and give the broker its place back.

    Within a fixture of ``mailqueue.testing`` nothing happens: it is the fixture's place.
    """
    if any(inner is _outbox for inner in outboxes()[-1:]):
        _capturing.close()
        _outbox.clear()
