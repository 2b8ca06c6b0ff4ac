"""Which way a batch takes now: of those its route may take, the first that is open."""

import random
from typing import NamedTuple

from mailqueue import routes
from mailqueue.choosing import candidates
from mailqueue.conf import get_settings
from mailqueue.routing import Way, ways
from worker.patience import patiently


class Taken(NamedTuple):
    """The way that is taken, and whether there is another one should it close."""

    way: Way
    elsewhere: bool


def way_for(route: str) -> Taken | None:
    """The way for an envelope's route; None where this worker knows no such route.

    Where all are paused it is the one that opens first: there its mail is parked.
    """
    settings = get_settings()
    if route not in ways(settings):
        return None
    names = candidates(route, settings, random.random)
    name = patiently(lambda: routes.first_open(names))
    return Taken(ways(settings)[name], elsewhere=_another_is_open(name, names))


def _another_is_open(name: str, names: list[str]) -> bool:
    others = [other for other in names if other != name]
    return any(patiently(lambda o=other: routes.paused(o)) is None for other in others)  # type: ignore[misc]
