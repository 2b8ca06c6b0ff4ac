"""Connections of a route, counted over all workers, on a real Redis."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from mailqueue import conf, leases
from mailqueue.state import get_state, key

ROUTE = "default"


@pytest.fixture(autouse=True)
def store(redis_settings):
    conf.configure(**redis_settings)


def die(holder: str) -> None:
    """End a lease as time would: nobody renews it."""
    seconds, _ = get_state().time()
    get_state().zadd(key("connections", ROUTE), {holder: seconds - 1}, xx=True)


def acquire(holder: str, most: int = 2) -> bool:
    return leases.acquire(ROUTE, holder, most, 60)


def test_no_more_than_so_many_at_the_same_time():
    assert [acquire("a"), acquire("b"), acquire("c")] == [True, True, False]
    assert (leases.held(ROUTE), leases.free(ROUTE, 2)) == (2, 0)
    leases.release(ROUTE, "a")
    assert (leases.held(ROUTE), leases.free(ROUTE, 2)) == (1, 1)
    assert acquire("c")


def test_asking_again_is_harmless():
    """A reply that got lost does not say whether the connection was granted."""
    assert [acquire("a", most=1), acquire("a", most=1), acquire("b", most=1)] == [True, True, False]
    leases.release(ROUTE, "a")
    leases.release(ROUTE, "a")
    assert leases.held(ROUTE) == 0


def test_connections_of_a_dead_worker_do_not_count():
    assert [acquire("a"), acquire("b")] == [True, True]
    die("a")
    assert (leases.held(ROUTE), leases.free(ROUTE, 2)) == (1, 1)
    assert [acquire("c"), acquire("d")] == [True, False]
    assert leases.held(ROUTE) == 2


def test_a_lease_is_renewed_for_all_holders_at_once():
    acquire("a")
    acquire("b")
    assert leases.renew(ROUTE, ["a", "b"], 900) == []
    seconds, _ = get_state().time()
    ends: Any = get_state().zrange(key("connections", ROUTE), 0, -1, withscores=True)
    assert [end - seconds > 800 for _, end in ends] == [True, True]
    assert leases.renew(ROUTE, [], 60) == []


def test_a_lease_that_is_over_comes_back_only_if_nobody_asked_meanwhile():
    acquire("a")
    die("a")
    assert leases.renew(ROUTE, ["a"], 60) == []
    assert leases.held(ROUTE) == 1
    die("a")
    assert [acquire("b"), acquire("c")] == [True, True]
    assert leases.renew(ROUTE, ["a", "b"], 60) == ["a"]
    assert leases.held(ROUTE) == 2


def test_what_was_never_held_cannot_be_renewed():
    assert leases.renew(ROUTE, ["nobody"], 60) == ["nobody"]
    assert leases.held(ROUTE) == 0
    assert get_state().exists(key("connections", ROUTE)) == 0


def test_routes_do_not_share():
    assert acquire("a", most=1)
    assert leases.acquire("other", "a", 1, 60)
    leases.release("other", "a")
    assert (leases.held(ROUTE), leases.held("other")) == (1, 0)


def test_a_cap_that_is_lowered_takes_nothing_away_and_gives_nothing_more():
    assert all(acquire(str(n), most=5) for n in range(5))
    assert leases.free(ROUTE, 2) == 0
    assert acquire("0")
    leases.release(ROUTE, "0")
    assert not acquire("0")
    assert leases.held(ROUTE) == 4


def test_the_key_outlasts_every_lease_and_then_expires():
    leases.acquire(ROUTE, "long", 3, 500)
    leases.acquire(ROUTE, "short", 3, 5)
    assert 500 < get_state().ttl(key("connections", ROUTE)) <= 561
    leases.renew(ROUTE, ["short"], 5)
    assert 490 < get_state().ttl(key("connections", ROUTE)) <= 561


def ask_and_die(redis_settings: dict[str, str], name: str) -> int:
    """A worker that takes what it can get and ends without a word."""
    conf.configure(**redis_settings)
    return sum(leases.acquire(ROUTE, f"{name}-{n}", 7, 60) for n in range(10))


def test_four_processes_together_hold_no_more(redis_settings):
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, mp_context=context) as pool:
        asked = [pool.submit(ask_and_die, redis_settings, f"w{n}") for n in range(4)]
        assert sum(future.result() for future in asked) == 7
    assert leases.held(ROUTE) == 7
    holders: Any = get_state().zrange(key("connections", ROUTE), 0, -1)
    for holder in holders:
        die(holder.decode())
    assert leases.held(ROUTE) == 0
    assert acquire("next", most=1)
