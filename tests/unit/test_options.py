"""Delivery options: what they mean, and what is refused with which words."""

import datetime as dt
import math
import time
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailqueue import configure
from mailqueue.options import FURTHEST, NO_OPTIONS, Options, read_options

SPANS = st.floats(0.001, FURTHEST - 1)
OFFSETS = st.integers(-1439, 1439).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))


def read(**options: Any) -> Options:
    return read_options(**options)


@contextmanager
def about_now():
    """What is computed within lies between ``seconds`` after its beginning and after its end."""
    began = time.time()

    def check(moment: float | None, seconds: float) -> bool:
        # Half a microsecond is what a datetime rounds to.
        return (
            moment is not None and began + seconds - 1e-5 <= moment <= time.time() + seconds + 1e-5
        )

    yield check


def test_without_options_it_is_now_and_for_ever():
    assert read() == NO_OPTIONS == Options(0.0, None, None, None, None, "normal")


@given(SPANS)
def test_a_delay_counts_from_now_in_seconds_or_as_a_timedelta(seconds):
    with about_now() as matches:
        assert matches(read(delay=seconds).not_before, seconds)
        assert matches(read(delay=dt.timedelta(seconds=seconds)).not_before, seconds)
        assert matches(read(expires=seconds).expires_at, seconds)
        assert matches(read(expires=dt.timedelta(seconds=seconds + 1)).expires_at, seconds + 1)


@given(SPANS.filter(lambda seconds: seconds > 1), OFFSETS)
def test_a_moment_is_the_same_in_every_time_zone(seconds, zone):
    now = time.time()
    moment = dt.datetime.fromtimestamp(now + seconds, zone)
    assert read(eta=moment).not_before == pytest.approx(now + seconds, abs=1e-5)
    assert read(expires=moment).expires_at == pytest.approx(now + seconds, abs=1e-5)
    assert read(eta=now + seconds).not_before == now + seconds


@pytest.mark.parametrize(
    "options",
    [
        {"delay": 0},
        {"delay": -5.5},
        {"delay": -math.inf},
        {"delay": dt.timedelta(days=-3)},
        {"eta": 0},
        {"eta": 1_000_000_000},
        {"eta": dt.datetime(1, 1, 1, tzinfo=dt.UTC)},
    ],
)
def test_what_is_past_is_now(options):
    assert read(**options).not_before == 0.0


@pytest.mark.parametrize("option", ["eta", "expires"])
def test_a_naive_datetime_is_refused_with_the_remedy(option):
    with pytest.raises(
        ValueError, match=rf"^{option} 2033-01-02 03:04:05 has no time zone.*UTC|utc"
    ):
        read(**{option: dt.datetime(2033, 1, 2, 3, 4, 5)})  # noqa: DTZ001 - the point


def test_eta_and_delay_exclude_each_other():
    with pytest.raises(ValueError, match="eta and delay both"):
        read(eta=time.time() + 5, delay=5)


@pytest.mark.parametrize(
    "options",
    [
        {"delay": FURTHEST + 60},
        {"delay": math.inf},
        {"delay": math.nan},
        {"delay": 10**400},
        {"delay": dt.timedelta.max},
        {"eta": 1e12},
        {"eta": math.nan},
        {"eta": time.time() * 1000},
        {"eta": dt.datetime(9999, 12, 31, tzinfo=dt.UTC)},
        {"expires": time.time()},
        {"expires": math.nan},
        {"expires": dt.datetime(9999, 12, 31, tzinfo=dt.UTC)},
    ],
)
def test_further_away_than_ten_years_is_a_mistake(options):
    with pytest.raises(ValueError, match=rf"^{next(iter(options))} is .*(ten years|clock)"):
        read(**options)


@pytest.mark.parametrize(
    ("options", "when"),
    [
        ({"expires": 0}, "now"),
        ({"expires": -1}, "now"),
        ({"expires": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}, "now"),
        ({"delay": 60, "expires": 60}, "may be sent"),
        ({"delay": 60, "expires": dt.timedelta(seconds=59)}, "may be sent"),
        ({"eta": time.time() + 3600, "expires": 600}, "may be sent"),
        ({"delay": -60, "expires": -30}, "now"),
    ],
)
def test_what_would_expire_before_it_may_be_sent_is_refused(options, when):
    with pytest.raises(ValueError, match=f"^expires is not later than .*{when}"):
        read(**options)


@pytest.mark.parametrize("option", ["eta", "delay", "expires"])
@pytest.mark.parametrize("value", ["60", True, [], Decimal(60), dt.date(2033, 1, 1), 5j])
def test_other_kinds_of_values_are_refused_with_what_is_wanted(option, value):
    with pytest.raises(TypeError, match=f"^{option} is a {type(value).__name__}; give .*seconds"):
        read(**{option: value})


def test_a_span_is_no_moment():
    with pytest.raises(TypeError, match="eta is a timedelta"):
        read(eta=dt.timedelta(1))
    with pytest.raises(TypeError, match="delay is a datetime"):
        read(delay=dt.datetime.now(dt.UTC))


@pytest.mark.parametrize("value", ["drop", "", "RESEND", 0, [], {}])
def test_on_unknown_names_its_choices(value):
    with pytest.raises(ValueError, match=r"on_unknown is .*'resend', 'hold', or None"):
        read(on_unknown=value)


@pytest.mark.parametrize("value", ["resend", "hold", None])
def test_on_unknown_is_kept(value):
    assert read(on_unknown=value).on_unknown == value


@pytest.mark.parametrize("value", ["urgent", "", "HIGH", None, 0, [], {}])
def test_priority_names_its_choices(value):
    with pytest.raises(ValueError, match=r"priority is .*; give 'high', 'normal' or 'bulk'"):
        read(priority=value)


@pytest.mark.parametrize("value", ["high", "normal", "bulk"])
def test_priority_is_kept(value):
    assert read(priority=value).priority == value


def test_route_names_its_choices():
    configure(MAILQUEUE_ROUTES={"news": {}})
    assert read(route="news").route == "news"
    assert read(route="default").route == "default"
    for wrong in ("", "nws"):
        with pytest.raises(ValueError, match=f"route is '{wrong}'; the routes are default, news"):
            read(route=wrong)
    with pytest.raises(TypeError, match="route is a int; give a route's name"):
        read(route=3)


# Idempotency keys

KEYS = st.text(st.characters(), min_size=1, max_size=40)


@pytest.mark.parametrize("key", ["", " \n", "x" * 1001])
def test_a_blank_or_endless_key_is_refused(key):
    with pytest.raises(ValueError, match=f"idempotency_key has {len(key)} characters.*1,000"):
        read(idempotency_key=key)


@pytest.mark.parametrize("key", [7, b"order-7", True, ["a"]])
def test_a_key_is_text(key):
    with pytest.raises(TypeError, match=f"idempotency_key is a {type(key).__name__}; give text"):
        read(idempotency_key=key)


def test_the_id_of_a_key_is_the_same_for_ever():
    """Producers of all versions must agree on it, or a mail is sent twice during an upgrade."""
    options = read(idempotency_key="order-4711")
    assert options.id_of(0) == "7044bfc5b7ff7bd58eb19d83b4a57d69"
    assert options.id_of(1) == "dbb8fd7856e29771888df5bb12a57cd0"
    assert NO_OPTIONS.id_of(0) is None


@given(st.sets(st.tuples(KEYS, st.integers(0, 10**6)), max_size=20))
def test_different_keys_and_positions_are_different_ids(pairs):
    ids = {Options(idempotency_key=key).id_of(position) for key, position in pairs}
    assert len(ids) == len(pairs)
    assert all(id_ and len(id_) == 32 and int(id_, 16) >= 0 for id_ in ids)


def test_another_queue_is_another_mail():
    options = Options(idempotency_key="k")
    here = options.id_of(0)
    configure(MAILQUEUE_QUEUE="another")
    assert options.id_of(0) != here
