"""Letting parked mail go: as much of each line as its route, its limits and its connections allow.

Run by the poller. What is let go becomes due at once, so a line is let go in helpings: what can be
sent until the next look, and a little more, so that no worker waits for the poller.
"""

import logging
from typing import Final

from mailqueue import leases, limits, routes
from mailqueue.conf import get_settings
from mailqueue.routing import Way, ways
from worker.pacing import group_bounds, route_bounds

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
        way = found.get(route)
        most = _helping(way, group, settings.MAILQUEUE_BATCH_SIZE) if way else _MOST
        if most and way and _has_bounds(way) and not routes.turn(line, _HELPING):
            continue
        released, probe = routes.release(line, most) if most else (0, False)
        if released:
            what = "one mail as a probe" if probe else f"{released} parked mails"
            logger.info("route=%s lets %s go", line, what)


def _has_bounds(way: Way) -> bool:
    return bool(way.limits or way.groups)


def _helping(way: Way, group: str, batch: int) -> int:
    bounds = route_bounds(way)
    if group in way.groups:
        bounds += group_bounds(way, way.groups[group])
    most = limits.room(bounds, _AHEAD, most=_MOST)
    if way.concurrency is not None:
        # Two batches for each connection that is free: one to send, one to go on with.
        most = min(most, 2 * batch * leases.free(way.name, way.concurrency))
    return most
