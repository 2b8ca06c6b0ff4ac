"""The ways out, ready for use: each route with its preset and the ``EMAIL_…`` settings applied."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from mailqueue.limit_text import Limit, parse_limit
from mailqueue.routing.arguments import arguments_of, backend_of, preset_of
from mailqueue.routing.checks import check_routes
from mailqueue.routing.domain_patterns import DomainTable, domain_table
from mailqueue.routing.memo import per_settings
from mailqueue.routing.presets import IDLE_SECONDS, MESSAGES_PER_CONNECTION, Preset
from mailqueue.routing.route import DEFAULT, Route
from mailqueue.settings import Settings


class Group(NamedTuple):
    """Recipient domains that share limits."""

    name: str
    domains: tuple[str, ...]
    limits: tuple[Limit, ...]


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way out; never changed. Its repr shows no arguments, since passwords are among them."""

    name: str
    #: Dotted path of the backend's class.
    backend: str
    #: For ``get_connection()``; what is not among them is for the backend to look up.
    arguments: Mapping[str, Any] = field(repr=False)
    #: All of them hold.
    limits: tuple[Limit, ...]
    #: By name.
    groups: Mapping[str, Group]
    #: Connections over all workers at the same time; None: as many as there are.
    concurrency: int | None
    messages_per_connection: int
    #: Seconds for which a connection may lie idle before it is not used any more.
    idle_seconds: float
    #: None: nothing is known.
    recipients_per_message: int | None
    #: Bytes, encoded; None: nothing is known.
    message_bytes: int | None
    failover: tuple[str, ...]
    #: Weights of the routes to choose from; where it is not empty, this is no way of its own.
    choose: Mapping[str, int]
    senders: tuple[str, ...]
    _domains: DomainTable = field(repr=False)

    def group_of(self, domain: str) -> str | None:
        """The name of the group that a recipient's domain belongs to."""
        return self._domains.find(domain)


@per_settings
def ways(settings: Settings) -> Mapping[str, Way]:
    """All ways out by name; ``default`` is always among them. Cheap when it is asked again.

    Raises ``ConfigurationError`` where they do not hold together, whoever may deliver.
    """
    check_routes(settings, delivering=False)
    routes = {DEFAULT: Route(), **settings.MAILQUEUE_ROUTES}
    return MappingProxyType({name: _way(route, settings) for name, route in routes.items()})


def _way(route: Route, settings: Settings) -> Way:
    preset = preset_of(route) or Preset(host=None)
    limits = preset.limits if route.limits is None else route.limits
    groups = {
        name: Group(name, rule.domains, tuple(map(parse_limit, rule.limits)))
        for name, rule in route.domains.items()
    }
    return Way(
        name=route.name,
        backend=backend_of(route, settings),
        arguments=MappingProxyType(arguments_of(route, settings)),
        limits=tuple(map(parse_limit, limits)),
        groups=MappingProxyType(groups),
        concurrency=route.concurrency or preset.concurrency,
        messages_per_connection=(
            route.messages_per_connection
            or preset.messages_per_connection
            or MESSAGES_PER_CONNECTION
        ),
        idle_seconds=route.idle_seconds or preset.idle_seconds or IDLE_SECONDS,
        recipients_per_message=route.recipients_per_message or preset.recipients_per_message,
        message_bytes=route.message_bytes or preset.message_bytes,
        failover=route.failover,
        choose=MappingProxyType(route.choose),
        senders=route.senders,
        _domains=domain_table({name: group.domains for name, group in groups.items()}),
    )
