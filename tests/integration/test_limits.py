"""Limits of rate on a real Redis.

What is granted carries the moment it is granted for, by Redis's clock. So nothing here sleeps or
looks at a clock of its own: with patience enough, seconds ahead are given away in milliseconds.
"""

import multiprocessing
import uuid
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailqueue import conf, limits
from mailqueue.limit_text import parse_limit
from mailqueue.limits import Bound, Taken
from mailqueue.state import get_state, key


@pytest.fixture(autouse=True)
def store(redis_settings):
    conf.configure(**redis_settings)


def bounds(*texts: str, name: str = "default") -> list[Bound]:
    return [Bound(name, parse_limit(text)) for text in texts]


def take_all(asked: list[Bound], patience: float, recipients: int = 1) -> list[Taken]:
    """Whatever is granted until something is not; that one comes last."""
    answers = [limits.take(asked, recipients, patience=patience)]
    while answers[-1].granted:
        answers.append(limits.take(asked, recipients, patience=patience))
    return answers


def most_in_any(seconds: float, moments: list[float]) -> int:
    """The fullest stretch of that length, wherever it begins."""
    moments = sorted(moments)
    most = first = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= seconds - 1e-6:
            first += 1
        most = max(most, last - first + 1)
    return most


def server_time() -> float:
    seconds, microseconds = get_state().time()
    return seconds + microseconds / 1e6


def age(name: str, what: str, width: float, seconds: float) -> None:
    """Let so much time have passed; ``width`` is the seconds of a slice."""
    numbers = stored(name, what)
    numbers[0] -= round(seconds / width)
    get_state().set(key("limit", name, what), msgspec.msgpack.encode(numbers), keepttl=True)


def stored(name: str, what: str) -> list[int]:
    """The number of the first slice, then what is booked in each."""
    kept: Any = get_state().get(key("limit", name, what))
    return msgspec.msgpack.decode(kept, type=list[int])


def queue_keys() -> list[bytes]:
    found: Any = get_state().keys(key("*"))
    return found


def ask_many(redis_settings: dict[str, str], texts: list[str], times: int) -> list[Taken]:
    conf.configure(**redis_settings)
    return [limits.take(bounds(*texts), patience=30) for _ in range(times)]


def test_four_processes_together_stay_below_a_limit_and_use_it(redis_settings):
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, mp_context=context) as pool:
        asked = [pool.submit(ask_many, redis_settings, ["50/s"], 60) for _ in range(4)]
        answers = [taken for future in asked for taken in future.result()]
    assert all(taken.granted for taken in answers)
    moments = sorted(taken.at for taken in answers)
    assert most_in_any(1, moments) <= 50
    # Processes start one after the other; what counts is when they met.
    met = moments[60:]
    assert len(met) >= 0.9 * 50 * (met[-1] - met[0])


@pytest.mark.parametrize(
    "text", ["1/s", "3/s", "14/s", "21/s", "50/s", "99/s", "1000/s", "7/10s", "100/59s"]
)
def test_a_pace_is_kept_and_used_in_any_stretch_of_time(text):
    limit = parse_limit(text)
    answers = take_all(bounds(text), patience=4 * limit.per_seconds)[:-1]
    moments = [taken.at for taken in answers]
    assert most_in_any(limit.per_seconds, moments) <= limit.count
    assert len(moments) >= 0.9 * limit.count * (moments[-1] - moments[0]) / limit.per_seconds


@pytest.mark.parametrize("text", ["14/s", "100/s", "1000/s", "100/10s"])
def test_a_pace_has_no_burst_after_idle_time(text):
    limit = parse_limit(text)
    moments = [taken.at for taken in take_all(bounds(text), patience=limit.per_seconds)[:-1]]
    # A tenth of the period touches three slices, each with a twentieth, rounded up.
    assert most_in_any(limit.per_seconds / 10, moments) <= 3 * -(-limit.count // 20)


def test_first_come_first_served():
    moments = [taken.at for taken in take_all(bounds("14/s", "200/min"), patience=5)[:-1]]
    assert moments == sorted(moments)
    assert all(later - sooner < 1 for sooner, later in pairwise(moments))


def test_all_limits_hold_and_what_is_refused_uses_none():
    asked = bounds("100/s", "25/day")
    *granted, refused = take_all(asked, patience=5)
    assert len(granted) == 25
    assert 86_400 - 60 <= refused.wait <= 86_400 * 61 / 60 + 1
    assert refused.booked == ()
    used = limits.usage(asked)
    for _ in range(10):
        assert not limits.take(asked, patience=5).granted
    pace, day = limits.usage(asked)
    assert (day.used, day.remaining) == (25, 0)
    assert pace.used <= used[0].used + 25, "only what was booked ahead has come since"
    assert sum(stored(pace.name, "messages/1s")[1:]) == 25


def test_what_is_not_granted_leaves_nothing_behind():
    (refused,) = take_all([*bounds("5/s"), *full_day()], patience=5)
    assert not refused.granted
    assert get_state().exists(key("limit", "default", "messages/1s")) == 0


def full_day() -> list[Bound]:
    asked = bounds("2/day", name="full")
    assert len(take_all(asked, patience=0)) == 3
    return asked


def test_the_wait_of_what_is_not_granted_is_longer_than_the_patience_and_tells_when():
    asked = bounds("10/59s")
    moments = [taken.at for taken in take_all(asked, patience=50)[:-1]]
    refused = limits.take(asked, patience=20)
    assert not refused.granted
    assert refused.wait > 20
    assert refused.at > max(moments)
    later = limits.take(asked, patience=refused.wait)
    assert (later.granted, later.at) == (True, refused.at)


def test_a_quota_may_be_used_at_once_and_comes_free_when_it_is_a_period_old():
    asked = bounds("30/min")
    answers = take_all(asked, patience=0)
    assert [taken.wait for taken in answers[:-1]] == [0.0] * 30
    assert 50 <= answers[-1].wait <= 61.01
    age("default", "messages/60s", 1, 40)
    assert not limits.take(asked, patience=0).granted
    age("default", "messages/60s", 1, 21)
    assert len(take_all(asked, patience=0)) == 31


def test_a_day_is_the_last_24_hours():
    asked = bounds("10/day")
    width = 86_400 / 60
    for _ in range(2):
        for _ in range(5):
            assert limits.take(asked, patience=0).granted
        age("default", "messages/86400s", width, 86_400 / 2)
    assert limits.usage(asked)[0].remaining <= 5
    age("default", "messages/86400s", width, 2 * width)
    assert limits.usage(asked)[0].remaining == 5
    assert len(take_all(asked, patience=0)) == 6


def test_recipients_are_counted_where_a_limit_says_so():
    asked = bounds("10 recipients/day", "100/day")
    assert limits.take(asked, 4, patience=0).granted
    assert limits.take(asked, 4, patience=0).granted
    assert not limits.take(asked, 4, patience=0).granted, "as a whole or not at all"
    assert limits.take(asked, 2, patience=0).granted
    assert [(usage.used, usage.remaining) for usage in limits.usage(asked)] == [(10, 0), (3, 97)]


def test_a_pace_in_recipients_holds_on_average_and_nobody_is_overtaken():
    asked = bounds("20 recipients/s")
    moments = [(limits.take(asked, 50 if n % 5 == 0 else 1, patience=99).at, n) for n in range(20)]
    assert moments == sorted(moments)
    recipients = sum(50 if n % 5 == 0 else 1 for n in range(15))
    assert moments[15][0] - moments[0][0] == pytest.approx(recipients / 20, rel=0.1)


@pytest.mark.parametrize("text", ["5 recipients/s", "5 recipients/min"])
def test_a_message_with_more_recipients_than_a_limit_does_not_wait_for_ever(text):
    asked = bounds(text)
    assert limits.take(asked, 100_000, patience=0).granted
    refused = limits.take(asked, 1, patience=0)
    assert not refused.granted
    assert refused.wait < 120, "more than a hundred periods are forgiven"


def test_a_busy_domain_does_not_slow_another():
    def asked(domain: str) -> list[Bound]:
        return bounds("50/s") + bounds("1/s", name=f"default:{domain}")

    slow = [limits.take(asked("slow"), patience=8).at for _ in range(8)]
    assert slow[-1] - slow[0] >= 7
    other = limits.take(bounds("50/s"), patience=0)
    quick = limits.take(asked("quick"), patience=0.5)
    assert other.granted
    assert quick.granted
    assert quick.wait <= 0.05, "the next slice at the latest"


def test_what_is_booked_ahead_for_a_busy_domain_is_kept_free_for_it():
    route = bounds("40/s")
    slow = [
        limits.take(route + bounds("20/s", name="default:slow"), patience=3).at for _ in range(40)
    ]
    others = [taken.at for taken in take_all(route, patience=3)[:-1]]
    assert most_in_any(1, slow) <= 20
    assert most_in_any(1, slow + others) <= 40
    assert len(others) >= 60


def test_a_moment_that_suits_one_limit_is_asked_of_the_others_again():
    one, two = bounds("10/59s", name="one"), bounds("10/59s", name="two")
    places = [limits.take(one, patience=59) for _ in range(4)]
    limits.give_back(places[1])
    for _ in range(2):
        limits.take(two, patience=59)
    # The first has its second place free, the other its third.
    assert limits.take(one + two, patience=59).at > places[3].at


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(
        st.sampled_from("abc"),
        st.lists(
            st.sampled_from(["2/s", "9/s", "30/s", "11/3s", "7/min", "40/2min"]),
            min_size=1, max_size=3, unique=True,
        ),
        min_size=1,
    ),
    st.lists(st.tuples(st.sets(st.sampled_from("abc"), min_size=1), st.floats(0, 5)), max_size=60),
)  # fmt: skip
def test_whoever_asks_for_whatever_no_stretch_of_time_is_above_any_limit(groups, asking):
    tried = uuid.uuid4().hex
    granted = defaultdict(list)
    for names, patience in asking:
        asked = [
            bound
            for n in sorted(names & set(groups))
            for bound in bounds(*groups[n], name=tried + n)
        ]
        taken = limits.take(asked, patience=patience)
        assert taken.granted == (taken.wait <= patience)
        for bound in asked if taken.granted else ():
            granted[bound].append(taken.at)
    for bound, moments in granted.items():
        assert most_in_any(bound.limit.per_seconds, moments) <= bound.limit.count, bound


def test_a_place_that_is_given_back_is_given_to_the_next():
    asked = bounds("10/59s", "10 recipients/day")
    first, second, *_ = [limits.take(asked, patience=59) for _ in range(4)]
    limits.give_back(second)
    assert limits.take(asked, patience=59).at == second.at > first.at
    for _ in range(2):
        limits.give_back(first._replace(booked=()))
    assert limits.usage(asked)[1].used == 4


def test_all_recipients_are_given_back():
    asked = bounds("10 recipients/59s", "500 recipients/day")
    taken = limits.take(asked, 30, patience=0)
    assert sum(stored("default", "recipients/59s")[1:]) == 30
    limits.give_back(taken)
    assert sum(stored("default", "recipients/59s")[1:]) == 0
    assert [usage.used for usage in limits.usage(asked)] == [0, 0]
    limits.give_back(taken)
    assert [usage.used for usage in limits.usage(asked)] == [0, 0], "never below nothing"


def test_giving_back_what_redis_has_forgotten_is_harmless():
    taken = limits.take(bounds("10/s", "10/day"), patience=0)
    get_state().delete(*queue_keys())
    limits.give_back(taken)
    assert queue_keys() == []


def test_room_is_what_taking_would_find_and_books_nothing():
    asked = bounds("20/59s", "12/h")
    assert limits.room(asked, 0, most=100) == 1
    assert limits.room(asked, 29.5, most=100) == pytest.approx(11, abs=1)
    assert limits.room(asked, 29.5, most=4) == 4
    assert limits.room(asked, 3000, most=100) == 12
    assert queue_keys() == []
    assert len(take_all(asked, patience=59)[:-1]) == 12
    assert limits.room(asked, 59, most=100) == 0


def test_without_limits_all_goes_at_once():
    assert limits.take([], patience=0) == Taken(granted=True, wait=0.0)
    assert limits.room([], 1, most=7) == 7
    assert limits.usage([]) == []


def test_of_limits_that_count_the_same_the_lowest_holds():
    asked = bounds("50/day", "3/day", "3/24h")
    assert len(take_all(asked, patience=0)) == 4
    (usage,) = limits.usage(asked)
    assert (usage.limit.text, usage.used) == ("3/day", 3)


def test_who_changes_a_limit_keeps_what_is_used():
    take_all(bounds("10/day"), patience=0)
    assert len(take_all(bounds("15/day"), patience=0)) == 6
    (usage,) = limits.usage(bounds("5/day"))
    assert (usage.used, usage.remaining) == (15, 0)
    assert not limits.take(bounds("5/day"), patience=0).granted


@pytest.mark.parametrize(("text", "what"), [("14/s", "messages/1s"), ("9/h", "messages/3600s")])
def test_keys_are_the_queues_and_expire_by_themselves(text, what, queue_name):
    taken = limits.take(bounds(text), patience=0)
    for _ in range(2):
        assert queue_keys() == [f"{queue_name}:limit:default:{what}".encode()]
        seconds = get_state().pttl(queue_keys()[0]) / 1000
        assert 0 < seconds <= parse_limit(text).per_seconds * 1.1
        limits.give_back(taken)


def test_a_clock_that_is_set_back_blocks_nothing():
    asked = bounds("5/s")
    take_all(asked, patience=1)
    age("default", "messages/1s", 0.05, -7 * 86_400)
    assert limits.take(asked, patience=0).granted
    assert len(stored("default", "messages/1s")) < 50


def test_the_clock_is_redis_own():
    before = server_time()
    taken = limits.take(bounds("5/s"), patience=0)
    assert before <= taken.at <= server_time()
