"""Which ways a batch takes now: of those its route may take, the first that is open.

A way that is paused and is not the only one has no mail parked, so the poller has none to try it
with. Instead one mail of a batch tries it, when its time has come.
"""

import random
from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

from mailqueue import routes
from mailqueue.conf import get_settings
from mailqueue.routes import Paused
from mailqueue.routing.choosing import candidates
from mailqueue.routing.ways import Way, ways
from worker.patience import patiently

_NEVER: Final = float("inf")


class Taken(NamedTuple):
    """A way that is taken, and by whom."""

    way: Way
    #: Of the messages.
    ids: tuple[str, ...]
    #: There is another way that is open, should this one close.
    elsewhere: bool
    #: Where mail is parked while none is open: the line of the route that was asked for, which is
    #: let go when any of its ways is. Empty: there is one way, and its own line.
    line: str = ""


def ways_for(route: str, ids: Sequence[str]) -> list[Taken] | None:
    """The ways for a batch of one route; None where this worker knows no such route.

    Where all are paused it is the one that opens first.
    """
    settings = get_settings()
    known = ways(settings)
    if route not in known:
        return None
    names = candidates(route, settings, random.random)
    if len(names) == 1:
        return [Taken(known[names[0]], tuple(ids), elsewhere=False)]
    pauses = {name: patiently(partial(routes.paused, name)) for name in names}
    chosen = _probes(pauses, list(ids))
    probing = {id_ for found in chosen.values() for id_ in found}
    rest = tuple(id_ for id_ in ids if id_ not in probing)
    if rest:
        chosen.setdefault(_best(pauses), []).extend(rest)
    is_open = {name for name, pause in pauses.items() if pause is None}
    return [
        Taken(known[name], tuple(found), elsewhere=bool(is_open - {name}), line=route)
        for name, found in chosen.items()
    ]


def _probes(pauses: dict[str, Paused | None], ids: list[str]) -> dict[str, list[str]]:
    """Messages that try a paused way, by its name: one each."""
    chosen: dict[str, list[str]] = {}
    for name, pause in pauses.items():
        if pause is not None and ids:
            id_ = pause.probe if pause.probe in ids else ids[0]
            if id_ == pause.probe or patiently(partial(routes.take_probe, name, id_)):
                chosen[name] = [id_]
                ids.remove(id_)
    return chosen


def _best(pauses: dict[str, Paused | None]) -> str:
    """The first that is open, else the one that opens first."""

    def opens(name: str) -> float:
        pause = pauses[name]
        if pause is None:
            return 0.0
        return _NEVER if pause.until is None else pause.until

    return min(pauses, key=opens)
