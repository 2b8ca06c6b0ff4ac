"""Letting parked mail go: as much of each line as its route, its limits and its connections allow.

Run by the poller. What is let go becomes due at once, so a line is let go in helpings: what can be
sent until the next look, and a little more, so that no worker waits for the poller.
"""

import logging
import random
import time
from collections.abc import Sequence
from typing import Final

from mailqueue import leases, limits, routes
from mailqueue.bounds import group_bounds, route_bounds
from mailqueue.conf import get_settings
from mailqueue.routing.choosing import candidates
from mailqueue.routing.ways import Way, ways
from mailqueue.settings import Settings

logger = logging.getLogger("mailqueue.worker")

#: Messages of one line at the most.
_MOST: Final = 500
#: Seconds for which mail is let go at a time; the poller looks once a second.
_AHEAD: Final = 1.1
#: Seconds for which one poller's helping has to do, whichever looks next.
_HELPING: Final = 0.9


def release_parked() -> None:
    """Look at every line."""
    settings = get_settings()
    found = ways(settings)
    for line in routes.lines():
        route, _, group = line.partition("@")
        names = candidates(route, settings, random.random) if route in found else []
        if len(names) > 1:
            released, probe = _release_by_any(line, [found[name] for name in names], settings)
        else:
            way = found.get(route)
            most = _helping(way, group, settings.MAILQUEUE_BATCH_SIZE) if way else _MOST
            if most and way and _has_bounds(way) and not routes.turn(line, _HELPING):
                continue
            released, probe = routes.release(line, most) if most else (0, False)
        if released:
            what = "one mail as a probe" if probe else f"{released} parked mails"
            logger.info("route=%s lets %s go", line, what)


def _release_by_any(line: str, candidates_: Sequence[Way], settings: Settings) -> tuple[int, bool]:
    """Let mail go that may take several ways: by those that are open, or to try one that is not.

    Which one it takes, and whether it is a probe, is seen when a worker has it.
    """
    _, _, group = line.partition("@")
    pauses = [(way, routes.paused(way.name)) for way in candidates_]
    batch = settings.MAILQUEUE_BATCH_SIZE
    most = max((_helping(way, group, batch) for way, pause in pauses if pause is None), default=0)
    now = time.time()
    is_probe = not most and any(p and p.until is not None and p.until <= now for _, p in pauses)
    if not (most or is_probe) or not routes.turn(line, _HELPING):
        return 0, False
    return routes.let_go(line, most or 1), is_probe


def _has_bounds(way: Way) -> bool:
    return bool(way.limits or way.groups)


def _helping(way: Way, group: str, batch: int) -> int:
    bounds = route_bounds(way)
    if group in way.groups:
        bounds += group_bounds(way, way.groups[group])
    most = limits.room(bounds, _AHEAD, most=_MOST)
    if way.concurrency is not None:
        # A batch for each connection that is free, and some for those that soon will be.
        soon = (way.concurrency + 1) // 2
        most = min(most, batch * (leases.free(way.name, way.concurrency) + soon))
    return most
