"""The pytest plugin, which pytest loads by itself once mailqueue is installed."""

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def mailqueue_outbox() -> Iterator[list[Any]]:
    """Messages enqueued during the test, as a worker would rebuild them; nothing is sent."""
    from mailqueue.testing import capturing  # noqa: PLC0415 - only for tests that ask

    with capturing() as outbox:
        yield outbox


@pytest.fixture
def mailqueue_eager() -> Iterator[None]:
    """Deliver each mail at once through ``MAILQUEUE_DELIVERY_BACKEND``."""
    from mailqueue.testing import eager  # noqa: PLC0415 - only for tests that ask

    with eager():
        yield
