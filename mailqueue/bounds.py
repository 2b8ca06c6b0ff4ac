"""What counts together: the names under which the limits of a route are kept (``limits.py``)."""

from mailqueue.limits import Bound
from mailqueue.routing.ways import Group, Way


def route_bounds(way: Way) -> list[Bound]:
    """The limits of a route."""
    return [Bound(way.name, limit) for limit in way.limits]


def group_bounds(way: Way, group: Group) -> list[Bound]:
    """The limits of a group of recipient domains on a route."""
    return [Bound(f"{way.name}@{group.name}", limit) for limit in group.limits]


def all_bounds(way: Way) -> list[Bound]:
    """The limits of a route and of its groups."""
    groups = way.groups.values()
    return [*route_bounds(way), *(bound for group in groups for bound in group_bounds(way, group))]
