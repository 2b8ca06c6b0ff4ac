"""Times as people type them."""

import contextlib
import datetime as dt
import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailqueue import durations
from mailqueue.durations import parse_duration, parse_moment

UNITS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}


def test_the_examples_hold():
    assert doctest.testmod(durations).failed == 0


@given(
    st.dictionaries(st.sampled_from("wdhms"), st.integers(0, 10**6), min_size=1),
    st.sampled_from(["", " ", "\n"]),
)
def test_a_duration_is_the_sum_of_its_parts(parts, blank):
    text = "".join(f"{parts[unit]}{unit}" for unit in UNITS if unit in parts)
    assert parse_duration(blank + text + blank) == sum(
        UNITS[unit] * number for unit, number in parts.items()
    )


@given(st.floats(0, 10**6).map(lambda number: f"{number:.3f}"), st.sampled_from("wdhms"))
def test_parts_may_be_decimal(number, unit):
    assert parse_duration(number + unit) == pytest.approx(float(number) * UNITS[unit])


@given(st.text() | st.text("0123456789.wdhms+- ", max_size=8))
def test_whatever_is_typed_is_a_number_of_seconds_or_a_sentence(text):
    with contextlib.suppress(ValueError):
        assert 0 <= parse_duration(text) < 1e19


@pytest.mark.parametrize(
    "text", ["", " ", "90", "-5m", "+5m", "5", "m", "5M", "1h 30m", "30m1h", "5m5m", "1e3s", "nan",
             "inf", "٣m", ".5h", "5.h", "1y", "9" * 400 + "s"],
)  # fmt: skip
def test_nothing_is_guessed(text):
    with pytest.raises(ValueError, match="is no duration; write 90s"):
        parse_duration(text)


@given(st.datetimes(timezones=st.just(dt.UTC) | st.integers(-1439, 1439).map(
    lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))))  # fmt: skip
def test_a_moment_is_read_as_it_is_written(moment):
    assert parse_moment(moment.isoformat()) == moment


@given(st.datetimes())
def test_a_moment_without_time_zone_is_refused(moment):
    with pytest.raises(ValueError, match="has no time zone"):
        parse_moment(moment.isoformat())


@given(st.text())
def test_whatever_is_typed_is_an_aware_moment_or_a_sentence(text):
    with contextlib.suppress(ValueError):
        assert parse_moment(text).utcoffset() is not None


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01T00:00Z", "2026-12-24T25:00Z", "5m"])
def test_what_is_no_moment_is_told(text):
    with pytest.raises(ValueError, match="is no moment; write 2026"):
        parse_moment(text)
