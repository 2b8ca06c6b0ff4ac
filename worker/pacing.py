"""Asking the limits before a message is sent.

What may go within a moment goes: its place is booked, and the worker sleeps until then, its
connection open; but for no more than a moment in a whole run, or other mail would wait behind it
for as long as there is any of this. What may not go waits in a line (``mailqueue.routes``), no
attempt counted, and the poller lets as much of it go as the limits allow. So no worker is held by a
limit, and other routes and domains flow on.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

from mailqueue import limits, routes
from mailqueue.bounds import group_bounds, route_bounds
from mailqueue.domains import domain_of
from mailqueue.limits import Bound, Taken
from mailqueue.routing.ways import Group, Way
from worker.patience import patiently

#: Seconds that a worker sleeps in a run at the most: the poller brings more each second.
PATIENCE: Final = 1.2


class Pacer:
    """Asks for the messages of one run.

    Args:
        way: The route, with its limits.
        sleep: Seconds.
    """

    def __init__(self, way: Way, sleep: Callable[[float], None] = time.sleep) -> None:
        self._way = way
        self._sleep = sleep
        self._patience = PATIENCE
        self._granted: dict[str, Taken] = {}
        self._full: set[str] = set()
        self._lines: dict[str, str] = {}

    @property
    def has_limits(self) -> bool:
        """True where there is anything to ask."""
        return bool(self._way.limits or self._way.groups)

    @property
    def is_full(self) -> bool:
        """True where the route's own limits let nothing go now."""
        if self._way.name not in self._full and not self._room(route_bounds(self._way)):
            self._full.add(self._way.name)
        return self._way.name in self._full

    def ask(self, id_: str, recipients: Sequence[str]) -> str:
        """Ask for a message; empty: it may go now. Otherwise the line in which it is to wait."""
        way = self._way
        if id_ in self._granted or not self.has_limits:
            return ""
        if way.name in self._full:
            return self.line(recipients)
        groups = groups_of(way, recipients)
        for group in groups:
            if group.name in self._full:
                return self._line(group.name)
        bounds = [*route_bounds(way), *(b for group in groups for b in group_bounds(way, group))]
        patience = max(0.0, self._patience)
        taken = patiently(lambda: limits.take(bounds, max(1, len(recipients)), patience=patience))
        if taken.granted:
            self._granted[id_] = taken
            self._patience -= taken.wait
            if taken.wait > 0:
                self._sleep(taken.wait)
            return ""
        # The route's own limit holds up all of them; a group's only those of its domains.
        if self.is_full or not groups:
            self._full.add(way.name)
            return self.line(recipients)
        full = next((g for g in groups if not self._room(group_bounds(way, g))), groups[0])
        self._full.add(full.name)
        return self._line(full.name)

    def line(self, recipients: Sequence[str]) -> str:
        """The line in which a message waits: its domains', if they have one.

        Also where it is the route that is full: among the others it would be let go in their place,
        as often as its own limit sends it back.
        """
        groups = groups_of(self._way, recipients)
        return self._line(groups[0].name if groups else "")

    def _line(self, group: str) -> str:
        if group not in self._lines:
            self._lines[group] = patiently(lambda: routes.open_line(self._way.name, group))
        return self._lines[group]

    def sent(self, id_: str) -> None:
        """Its place is used: the server was asked to take it."""
        self._granted.pop(id_, None)

    def give_back(self) -> None:
        """Give back the places of messages that were not sent after all."""
        for taken in self._granted.values():
            patiently(lambda t=taken: limits.give_back(t))  # type: ignore[misc]
        self._granted.clear()

    def _room(self, bounds: Sequence[Bound]) -> bool:
        patience = max(0.0, self._patience)
        return not bounds or patiently(lambda: limits.room(bounds, patience, most=1)) > 0


def groups_of(way: Way, recipients: Sequence[str]) -> list[Group]:
    """The groups that these recipients belong to, by name."""
    if not way.groups:
        return []
    names = {way.group_of(domain_of(recipient)) for recipient in recipients}
    return [way.groups[name] for name in sorted(name for name in names if name)]
