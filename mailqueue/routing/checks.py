"""Whether the routes can work: all that is wrong with them, or an error for the first of it.

Producers need to know which routes there are, and workers what is needed to deliver as well:
passwords and backends need not be where mail is enqueued.
"""

from collections.abc import Iterator

from mailqueue.errors import ConfigurationError
from mailqueue.routing.address_problems import address_problems
from mailqueue.routing.logins import delivery_problems
from mailqueue.routing.memo import per_settings
from mailqueue.routing.problems import Problem, route_problems
from mailqueue.settings import Settings


def problems(settings: Settings) -> Iterator[Problem]:
    """All that is wrong with routes and staging settings, for delivering too."""
    yield from route_problems(settings)
    yield from address_problems(settings)
    yield from delivery_problems(settings)


def check_routes(settings: Settings, *, delivering: bool = True) -> None:
    """Refuse routes that cannot work. Cheap when it is asked again.

    Args:
        settings: The settings.
        delivering: Also what only workers need: logins, and backends, which are imported.

    Raises:
        ConfigurationError: The first thing that is wrong, with the setting, the route and the
            remedy.
    """
    _check_names(settings)
    if delivering:
        _check_deliveries(settings)


@per_settings
def _check_names(settings: Settings) -> None:
    _refuse(route_problems(settings))
    _refuse(address_problems(settings))


@per_settings
def _check_deliveries(settings: Settings) -> None:
    _refuse(delivery_problems(settings))


def _refuse(found: Iterator[Problem]) -> None:
    for problem in found:
        raise ConfigurationError(f"{problem.text}; {problem.remedy}")
