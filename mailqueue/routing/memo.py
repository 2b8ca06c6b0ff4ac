"""What follows from the settings is worked out once for each ``Settings`` object."""

from collections.abc import Callable
from typing import TypeVar

from mailqueue.settings import Settings

T = TypeVar("T")


def per_settings(compute: Callable[[Settings], T]) -> Callable[[Settings], T]:
    """Keep the latest result. Settings are never changed, only replaced, so identity tells.

    What ``compute`` raises is not kept; it is raised again by each call.
    """
    latest: tuple[Settings, T] | None = None

    def look_up(settings: Settings) -> T:
        nonlocal latest
        known = latest  # one read: another thread may replace it
        if known is None or known[0] is not settings:
            latest = known = (settings, compute(settings))
        return known[1]

    return look_up
