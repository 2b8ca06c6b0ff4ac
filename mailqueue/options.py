"""Delivery options: when a mail is sent, until when, by which route, and which calls mean one mail.

They are read once, by the call that enqueues, into what the envelope carries: moments, in seconds
since the epoch. So a mail that waits for a month needs no clock that agrees with the caller's
about when the call was.
"""

import datetime as dt
import hashlib
import time
from typing import Any, Final, Literal, NamedTuple, get_args

from mailqueue.conf import get_settings
from mailqueue.envelope import Priority
from mailqueue.routing.choosing import check_asked

#: A span from now: seconds, or a ``timedelta``.
Span = float | dt.timedelta
#: A moment: an aware ``datetime``, or seconds since the epoch.
Moment = float | dt.datetime
#: The end of something: a span from now, or an aware ``datetime``.
Until = float | dt.timedelta | dt.datetime
OnUnknown = Literal["resend", "hold"]

#: Seconds; what shall happen later than in ten years is a mistake, such as milliseconds.
FURTHEST: Final = 10 * 365.25 * 86_400
_LONGEST_KEY: Final = 1000


class Options(NamedTuple):
    """Delivery options as they hold, whenever they are looked at."""

    #: Seconds since the epoch before which it is not sent; 0.0: at once.
    not_before: float = 0.0
    #: Seconds since the epoch after which it is not sent any more.
    expires_at: float | None = None
    on_unknown: OnUnknown | None = None
    idempotency_key: str | None = None
    #: None: nobody asked for one.
    route: str | None = None
    priority: Priority = "normal"

    def id_of(self, position: int) -> str | None:
        """The id that the key gives to the message at ``position`` of its call; None without key.

        The queue's name is part of it: two applications may use the same key in two queues.
        """
        if self.idempotency_key is None:
            return None
        # The key comes last, so that no key can pretend to be another name or position.
        text = f"{get_settings().MAILQUEUE_QUEUE}\0{position}\0{self.idempotency_key}"
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


NO_OPTIONS: Final = Options()


def read_options(
    *,
    eta: Moment | None = None,
    delay: Span | None = None,
    expires: Until | None = None,
    on_unknown: OnUnknown | None = None,
    idempotency_key: str | None = None,
    route: str | None = None,
    priority: Priority = "normal",
) -> Options:
    """Read options as ``mailqueue.enqueue`` takes them, and describes them.

    Raises ``ValueError`` for a value that has no meaning, ``TypeError`` for one of another kind,
    ``ConfigurationError`` where a route is asked for and the routes are wrong.
    """
    if eta is not None and delay is not None:
        raise ValueError("eta and delay both say when it is sent; give one of them")
    now = time.time()
    starts = now
    if delay is not None:
        starts = now + _span(delay, "delay")
    elif eta is not None:
        starts = _moment(eta, "eta")
    _bounded(starts, now, "eta" if delay is None else "delay")
    expires_at = None
    if expires is not None:
        is_moment = isinstance(expires, dt.datetime)
        expires_at = _moment(expires, "expires") if is_moment else now + _span(expires, "expires")
        _bounded(expires_at, now, "expires")
        if expires_at <= max(starts, now):
            when = "it may be sent" if starts > now else "now"
            raise ValueError(f"expires is not later than {when}, so it would never be sent")
    if on_unknown not in (None, *get_args(OnUnknown)):
        raise ValueError(f"on_unknown is {on_unknown!r}; give 'resend', 'hold', or None")
    _check_key(idempotency_key)
    if route is not None:
        check_asked(route, get_settings())
    if priority not in get_args(Priority):
        raise ValueError(f"priority is {priority!r}; give 'high', 'normal' or 'bulk'")
    return Options(
        not_before=starts if starts > now else 0.0,
        expires_at=expires_at,
        on_unknown=on_unknown,
        idempotency_key=idempotency_key,
        route=route,
        priority=priority,
    )


def _span(value: Any, name: str) -> float:
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    return _number(value, name, "seconds from now or a timedelta")


def _moment(value: Any, name: str) -> float:
    if not isinstance(value, dt.datetime):
        return _number(value, name, "an aware datetime or seconds since the epoch")
    if value.utcoffset() is None:
        raise ValueError(
            f"{name} {value} has no time zone, so it is another moment on each machine; "
            "give datetime.now(timezone.utc) + …, or call .astimezone() on it"
        )
    return value.timestamp()


def _number(value: Any, name: str, wanted: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is a {type(value).__name__}; give {wanted}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} is no number of seconds that a clock could show") from None


def _bounded(moment: float, now: float, name: str) -> None:
    # So written that it also refuses what is not a number.
    if not moment <= now + FURTHEST:
        raise ValueError(f"{name} is further away than ten years; is its unit seconds?")


def _check_key(key: Any) -> None:
    if key is None:
        return
    if not isinstance(key, str):
        raise TypeError(f"idempotency_key is a {type(key).__name__}; give text")
    if not key.strip() or len(key) > _LONGEST_KEY:
        raise ValueError(
            f"idempotency_key has {len(key)} characters; give text that is not blank, up to "
            f"{_LONGEST_KEY:,}"
        )
