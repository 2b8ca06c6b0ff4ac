"""Which route a mail is given when it is enqueued, and which ways a worker may try for it.

At enqueue the first that says something wins: ``route=``, ``MAILQUEUE_ROUTER``, the routes'
``senders`` (an address before a domain), ``default``. The envelope keeps the name; which way it
means is decided by the worker, when it sends.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mailqueue.addresses import envelope_address
from mailqueue.conf import get_settings
from mailqueue.errors import ConfigurationError
from mailqueue.loading import load
from mailqueue.routing.address_problems import read_sender
from mailqueue.routing.memo import per_settings
from mailqueue.routing.route import DEFAULT
from mailqueue.routing.ways import Way, ways
from mailqueue.settings import Settings


def load_router(path: str) -> Callable[[Any], Any]:
    """The function that ``MAILQUEUE_ROUTER`` names; ``ConfigurationError`` where there is none."""
    wanted = "a function that takes a message and returns a route's name, or None"
    router: Callable[[Any], Any] = load(path, "MAILQUEUE_ROUTER", wanted)
    return router


def route_for(message: Any, asked: str | None = None) -> str:
    """The route of a message that is enqueued.

    Args:
        message: The message.
        asked: What the caller wants; None: no matter.

    Raises:
        ValueError: There is no route of the name that was asked for.
        TypeError: What was asked for is no name at all.
        ConfigurationError: The routes are wrong, or ``MAILQUEUE_ROUTER`` is.
    """
    settings = get_settings()
    if asked is not None:
        return check_asked(asked, settings)
    if settings.MAILQUEUE_ROUTER:
        answer = _ask(settings.MAILQUEUE_ROUTER, message, settings)
        if answer is not None:
            return answer
    senders = _senders(settings)
    if not senders:
        return DEFAULT
    try:
        address = envelope_address(message.from_email or settings.DEFAULT_FROM_EMAIL).lower()
    except ValueError:
        return DEFAULT
    domain = f"@{address.rpartition('@')[2]}"
    return senders.get(address) or senders.get(domain) or DEFAULT


def check_asked(asked: Any, settings: Settings) -> str:
    """The name that a caller asked for, if it is a route's; raises as ``route_for()``."""
    if not isinstance(asked, str):
        raise TypeError(f"route is a {type(asked).__name__}; give a route's name")
    if asked not in ways(settings):
        raise ValueError(f"route is {asked!r}; the routes are {', '.join(sorted(ways(settings)))}")
    return asked


def _ask(path: str, message: Any, settings: Settings) -> str | None:
    answer = load_router(path)(message)
    if answer is None or (isinstance(answer, str) and answer in ways(settings)):
        return answer
    raise ConfigurationError(
        f"MAILQUEUE_ROUTER: {path} returned {answer!r}; "
        f"the routes are {', '.join(sorted(ways(settings)))}"
    )


@per_settings
def _senders(settings: Settings) -> Mapping[str, str]:
    found = ways(settings)
    return {read_sender(text): way.name for way in found.values() for text in way.senders}


def candidates(name: str, settings: Settings, draw: Callable[[], float]) -> list[str]:
    """The ways to try for an envelope's route, in this order, each once.

    The route itself, or those it chooses from in an order drawn by weight; then their failovers,
    and the failovers of these.

    Args:
        name: The envelope's route.
        settings: The settings.
        draw: Makes numbers from 0 up to 1, such as ``random.random``.

    Raises:
        ConfigurationError: There is no such route, any more or yet.
    """
    found = ways(settings)
    if name not in found:
        raise ConfigurationError(
            f"MAILQUEUE_ROUTES has no route {name!r}, which mail was enqueued for; add it"
        )
    order: dict[str, None] = {}
    seen: set[str] = set()
    level = [name]
    while level:
        below: dict[str, None] = {}
        for each in level:
            if each not in seen:
                _expand(found[each], found, draw, seen, order, below)
        level = list(below)
    return list(order)


def _expand(
    way: Way,
    found: Mapping[str, Way],
    draw: Callable[[], float],
    seen: set[str],
    order: dict[str, None],
    below: dict[str, None],
) -> None:
    """Put a way, or what it chooses from, at the end of ``order``; its failovers into ``below``."""
    seen.add(way.name)
    if not way.choose:
        order[way.name] = None
    below.update(dict.fromkeys(way.failover))
    for each in _by_weight(way.choose.items(), draw):
        if each not in seen:
            _expand(found[each], found, draw, seen, order, below)


def _by_weight(weights: Iterable[tuple[str, int]], draw: Callable[[], float]) -> list[str]:
    """In random order; the first is each by its share, the next by its share of the rest.

    Efraimidis and Spirakis, "Weighted random sampling with a reservoir": sort by draw ** 1/weight.
    """
    drawn = [(draw() ** (1 / weight), name) for name, weight in weights]
    return [name for _, name in sorted(drawn, reverse=True)]
