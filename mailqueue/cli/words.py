"""How the command line says times, ages, numbers and what mail waits for; how it reads ages."""

import time
from datetime import datetime
from typing import Any

import click

from mailqueue.desk.route_state import LineState, RouteState
from mailqueue.durations import parse_duration
from mailqueue.routes import MANUAL, Paused

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


class Age(click.ParamType):  # type: ignore[type-arg,unused-ignore] # generic from click 8.4 on
    """``90s``, ``15m``, ``2h``, ``3d``: seconds."""

    name = "age"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it; refuses what is no age as wrong usage."""
        if isinstance(value, float):
            return value
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def age(seconds: float) -> str:
    """A span in the largest unit that says enough: ``12 min``; nothing is below zero."""
    seconds = max(0.0, seconds)
    if seconds < _MINUTE:
        return f"{int(seconds)} s"
    if seconds < 2 * _HOUR:
        return f"{int(seconds // _MINUTE)} min"
    if seconds < 2 * _DAY:
        return f"{int(seconds // _HOUR)} h"
    return f"{int(seconds // _DAY):,} d"


def moment(at: float) -> str:
    """A moment in local time, with how long ago it was or how far ahead it is."""
    try:
        shown = datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")
    except (ValueError, OverflowError, OSError):  # a damaged or absurd number
        shown = f"{at:g}"
    return f"{shown} ({relative(at)})"


def relative(at: float) -> str:
    """``3 min ago``, ``in 2 h`` or ``now``."""
    seconds = at - time.time()
    if seconds >= 1:
        return f"in {age(seconds)}"
    return "now" if seconds > -1 else f"{age(-seconds)} ago"


def mails(number: int) -> str:
    """``1 mail``, ``1,000 mails``."""
    return f"{number:,} mail{'' if number == 1 else 's'}"


def mails_wait(number: int) -> str:
    """``1 mail waits``, ``1,000 mails wait``."""
    return f"{mails(number)} wait{'s' if number == 1 else ''}"


def pause(paused: Paused, parked: int) -> str:
    """A pause in words, with its remedy."""
    return "; ".join(pause_and_remedy(paused, parked))


def pause_and_remedy(paused: Paused, parked: int) -> tuple[str, str]:
    """What is the matter with a route, and the command that ends it."""
    now = time.time()
    since = age(now - paused.since)
    waiting = mails_wait(parked)
    remedy = f"mailqueue routes resume {paused.route}"
    if paused.kind == MANUAL:
        why = f" ({paused.reason})" if paused.reason else ""
        return (
            f"{paused.route}: paused by hand {since} ago{why}, {waiting}", f"to go on: {remedy}",
        )  # fmt: skip
    again = "tried again now"
    if paused.until is not None and paused.until > now:
        again = f"tried again in {age(paused.until - now)}"
    return (
        f"{paused.route}: paused {since} ({paused.kind}: {paused.reason}), {waiting}; {again}",
        f"once corrected: {remedy}",
    )


def line_state(route: RouteState, line: LineState) -> str:
    """A line's state in a word or two."""
    if route.way and route.way.choose:
        return "chooses"
    if route.paused:
        return "paused"
    if route.way is None:
        return "not configured"
    if any(not usage.remaining for usage in route.limits_of(line)):
        return "at its limit"
    return "all connections taken" if route.busy else "open"


def waits_for(route: RouteState, line: LineState) -> str:
    """What the mail in a line waits for whose route is not paused."""
    found = route.limits_of(line)
    full = [usage.limit.text for usage in found if not usage.remaining]
    if route.way is None:
        return "open, but not configured here"
    if full:
        return f"limit reached ({', '.join(full)})"
    if route.busy:
        return f"all {route.way.concurrency} connections taken"
    if found:
        return f"going as its limits allow ({', '.join(usage.limit.text for usage in found)})"
    return "open, about to go"
