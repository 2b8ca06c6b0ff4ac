"""Times as people type them: ``90s``, ``1h30m``, and moments in ISO 8601."""

import datetime as dt
import re
from typing import Final

_UNITS: Final = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_DURATION: Final = re.compile("".join(rf"(?:([0-9]{{1,12}}(?:\.[0-9]+)?){u})?" for u in _UNITS))


def parse_duration(text: str) -> float:
    """Read a duration; returns seconds.

    Weeks, days, hours, minutes and seconds, in this order and each at the most once.

    >>> parse_duration("90s"), parse_duration("1h30m"), parse_duration("0.5d")
    (90.0, 5400.0, 43200.0)

    Raises ``ValueError`` with a sentence for everything else; a unit is never guessed.
    """
    found = _DURATION.fullmatch(text.strip())
    if not found or not found[0]:
        raise ValueError(f"{text!r} is no duration; write 90s, 15m, 2h, 1h30m, 3d or 2w")
    return sum(
        float(number) * seconds
        for number, seconds in zip(found.groups(), _UNITS.values(), strict=True)
        if number
    )


def parse_moment(text: str) -> dt.datetime:
    """Read a moment with its time zone; returns an aware ``datetime``.

    >>> parse_moment("2026-12-24T18:00+01:00").isoformat()
    '2026-12-24T18:00:00+01:00'

    Raises ``ValueError`` with a sentence for everything else; a time zone is never guessed.
    """
    try:
        moment = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"{text!r} is no moment; write 2026-12-24T18:00+01:00 or 2026-12-24T17:00Z"
        ) from None
    if moment.utcoffset() is None:
        raise ValueError(f"{text!r} has no time zone; write one behind it, +01:00 or Z")
    return moment
