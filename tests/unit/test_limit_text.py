"""Limits as people write them."""

import contextlib
import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailqueue import limit_text
from mailqueue.limit_text import Limit, parse_limit

UNITS = {"s": 1, "min": 60, "h": 3600, "day": 86_400}


def test_the_examples_hold():
    assert doctest.testmod(limit_text).failed == 0


@given(
    st.integers(1, 10**9),
    st.sampled_from(["", " messages", " recipients"]),
    st.none() | st.integers(1, 31),
    st.sampled_from(list(UNITS)),
    st.sampled_from(["", " ", "\n"]),
)
def test_a_limit_is_read_as_it_is_written(count, what, periods, unit, blank):
    text = f"{count}{what}/{'' if periods is None else periods}{unit}"
    limit = parse_limit(blank + text + blank)
    expected = (count, (periods or 1) * UNITS[unit], what.strip() or "messages", text)
    assert (limit.count, limit.per_seconds, limit.what, limit.text) == expected
    assert parse_limit(limit.text) == limit


@given(st.text() | st.text("0123456789/ smindayhrecipt.-+", max_size=20))
def test_whatever_is_written_is_a_limit_or_a_sentence(text):
    with contextlib.suppress(ValueError):
        limit = parse_limit(text)
        assert 1 <= limit.count <= 10**9
        assert 1 <= limit.per_seconds <= 31 * 86_400


@pytest.mark.parametrize(
    "text", ["", "14", "/s", "14/", "s", "14 s", "14/S", "14/sec", "14/m", "14/d", "14/days",
             "-1/s", "+1/s", "1.5/s", "1e3/s", "14 / s", "14  messages/s", "14 mails/s",
             "14messages/s", "14/1.5s", "14/-1s", "14/s/s", "14 per second", "١٤/s",
             "14/s; 3/min", "nan/s", "1" * 5000 + "/s"],
)  # fmt: skip
def test_nothing_is_guessed(text):
    with pytest.raises(ValueError, match=r"is no limit; write .* 14/s, 100/10s") as caught:
        parse_limit(text)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("text", ["0/s", "0 recipients/day", "1000000001/day"])
def test_a_count_that_cannot_be_meant_is_refused(text):
    with pytest.raises(ValueError, match="write a count from 1 to 1000000000"):
        parse_limit(text)


@pytest.mark.parametrize("text", ["14/0s", "14/0day", "14/32day", "14/2678401s"])
def test_a_period_that_cannot_be_meant_is_refused(text):
    with pytest.raises(ValueError, match="write one from 1s to 31day"):
        parse_limit(text)


def test_limits_are_values():
    assert {parse_limit("14/s"), parse_limit(" 14/s ")} == {Limit(14, 1, "messages", "14/s")}
