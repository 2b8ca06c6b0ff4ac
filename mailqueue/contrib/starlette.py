"""mailqueue in Starlette, FastAPI and any ASGI framework that has Starlette's lifespan.

    app = Starlette(routes=..., lifespan=lifespan)

or within a lifespan of your own:

    @asynccontextmanager
    async def my_lifespan(app):
        async with mailqueue_lifespan(MAILQUEUE_BROKER_URL="redis://localhost:6379/0"):
            yield

Nothing of Starlette is needed for it, so nothing is imported.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mailqueue import enqueuing
from mailqueue.aio import awarm_up
from mailqueue.conf import configure
from mailqueue.errors import EnqueueError

__all__ = ["lifespan"]

logger = logging.getLogger("mailqueue")


@asynccontextmanager
async def lifespan(app: Any = None, /, **settings: Any) -> AsyncIterator[None]:  # noqa: ARG001
    """Configure mailqueue and connect to the broker, before the first request is served.

    A broker that is away does not keep the application from starting: a warning is logged, and
    mail is enqueued as soon as the broker is back. It delays the start by at most
    ``MAILQUEUE_ENQUEUE_TIMEOUT`` seconds.

    Args:
        app: The application, as frameworks hand it over; it is not touched.
        **settings: As for ``mailqueue.configure()``. None: as the environment says.

    Raises:
        ConfigurationError: A setting is wrong; then the application does not start.
    """
    configure(**{name: value for name, value in settings.items() if value is not None})
    if not enqueuing.is_replaced():
        try:
            await awarm_up()
        except EnqueueError as error:
            logger.warning("started without the broker: %s", error)
    yield
