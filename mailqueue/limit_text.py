"""Limits as people write them: ``14/s``, ``30/min``, ``10000 recipients/day``."""

import re
from dataclasses import dataclass
from typing import Final, Literal

MESSAGES: Final = "messages"
RECIPIENTS: Final = "recipients"

_UNITS: Final = {"s": 1, "min": 60, "h": 3600, "day": 86_400}
_LIMIT: Final = re.compile(
    rf"([0-9]+)(?: ({MESSAGES}|{RECIPIENTS}))?/([0-9]*)({'|'.join(_UNITS)})", re.ASCII
)
_MOST: Final = 1_000_000_000
#: Seconds. Longer than any provider counts, and short enough to be kept in Redis.
_LONGEST: Final = 31 * 86_400
#: Characters; whatever is longer is no limit, and need not be repeated in an error.
_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``count`` messages, or recipients, in any ``per_seconds`` seconds."""

    count: int
    per_seconds: int
    what: Literal["messages", "recipients"]
    #: As it was written.
    text: str


def parse_limit(text: str) -> Limit:
    """Read a limit: ``COUNT/PERIOD``, or ``COUNT recipients/PERIOD``.

    >>> parse_limit("14/s")
    Limit(count=14, per_seconds=1, what='messages', text='14/s')
    >>> limit = parse_limit("500 recipients/10min")
    >>> limit.count, limit.per_seconds, limit.what
    (500, 600, 'recipients')

    Raises ``ValueError`` with a sentence for everything else; a unit is never guessed.
    """
    text = text.strip()
    found = _LIMIT.fullmatch(text) if len(text) <= _SHOWN else None
    if not found:
        raise ValueError(
            f"{text[:_SHOWN]!r} is no limit; write a count and a period in s, min, h or day: "
            "14/s, 100/10s, 30/min or 10000 recipients/day"
        )
    count, what, periods, unit = found.groups()
    limit = Limit(
        count=int(count),
        per_seconds=int(periods or 1) * _UNITS[unit],
        what=RECIPIENTS if what == RECIPIENTS else MESSAGES,
        text=text,
    )
    if not 1 <= limit.count <= _MOST:
        raise ValueError(f"{text!r} allows {count}; write a count from 1 to {_MOST}")
    if not 1 <= limit.per_seconds <= _LONGEST:
        raise ValueError(f"the period of {text!r} is no good; write one from 1s to 31day")
    return limit
