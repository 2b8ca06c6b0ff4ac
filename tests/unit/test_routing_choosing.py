"""Which route a mail gets when it is enqueued, and which ways a worker tries for it."""

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailqueue import EmailMessage, configure
from mailqueue.errors import ConfigurationError
from mailqueue.routing.choosing import candidates, route_for
from mailqueue.routing.route import Route
from mailqueue.settings import Settings

NAMES = ["default", "a", "b", "c", "d", "e"]


@st.composite
def routes(draw: Any) -> dict[str, Route]:
    """Any failovers; choices only among later ones, so that none leads back."""
    made = {}
    for at, name in enumerate(NAMES):
        others = [other for other in NAMES if other != name]
        failover = draw(st.lists(st.sampled_from(others), max_size=3))
        choose = {}
        if later := NAMES[at + 1 :]:
            choose = draw(st.dictionaries(st.sampled_from(later), st.integers(1, 9), max_size=3))
        made[name] = Route(name=name, failover=tuple(failover), choose=choose)
    return made


@given(routes(), st.sampled_from(NAMES), st.randoms(use_true_random=False))
def test_each_candidate_is_there_once_and_has_a_way_of_its_own(made, name, rng) -> None:
    found = candidates(name, Settings(MAILQUEUE_ROUTES=made), rng.random)
    assert len(found) == len(set(found)) > 0
    assert not any(made[each].choose for each in found)
    if not made[name].choose:
        assert found[0] == name
    reached, open_ = set(), [name]
    while open_:
        each = open_.pop()
        if each not in reached:
            reached.add(each)
            open_ += [*made[each].choose, *made[each].failover]
    assert set(found) == {each for each in reached if not made[each].choose}


@given(routes(), st.randoms(use_true_random=False))
def test_own_failovers_come_before_those_of_others(made, rng) -> None:
    settings = Settings(MAILQUEUE_ROUTES=made)
    for name in NAMES:
        plain = [each for each in dict.fromkeys(made[name].failover) if not made[each].choose]
        if not made[name].choose and len(plain) == len(set(made[name].failover)):
            assert candidates(name, settings, rng.random)[: len(plain) + 1] == [name, *plain]


@pytest.mark.parametrize("weights", [{"a": 3, "b": 1}, {"a": 1, "b": 1, "c": 8}, {"a": 5}])
def test_weights_are_honoured_over_many_draws(weights: dict[str, int]) -> None:
    given_ = {name: Route(name=name) for name in weights}
    given_["it"] = Route(name="it", choose=weights, failover=("default",))
    settings = Settings(MAILQUEUE_ROUTES=given_)
    rng = random.Random(7)
    orders = [candidates("it", settings, rng.random) for _ in range(10_000)]
    assert all(sorted(order[:-1]) == sorted(weights) for order in orders)
    assert all(order[-1] == "default" for order in orders)
    whole = sum(weights.values())
    for name, count in Counter(order[0] for order in orders).items():
        assert count / 10_000 == pytest.approx(weights[name] / whole, abs=0.02)
    if len(weights) == 3:  # without the heaviest, the others are even
        second = Counter(order[1] for order in orders if order[0] == "c")
        assert second["a"] / second.total() == pytest.approx(0.5, abs=0.03)


def test_draws_at_the_edges_are_fine() -> None:
    settings = configure(MAILQUEUE_ROUTES={"it": {"choose": {"default": 10**9, "b": 1}}, "b": {}})
    assert sorted(candidates("it", settings, lambda: 0.0)) == ["b", "default"]


def test_two_routes_may_be_each_other_s_failover() -> None:
    settings = configure(MAILQUEUE_ROUTES={"a": {"failover": ["b"]}, "b": {"failover": ["a"]}})
    assert candidates("a", settings, random.random) == ["a", "b"]
    assert candidates("b", settings, random.random) == ["b", "a"]


def test_a_route_that_is_gone_is_named() -> None:
    with pytest.raises(ConfigurationError, match="no route 'gone', which mail was enqueued for"):
        candidates("gone", Settings(), random.random)


# At enqueue


def mail(sender: str = "us@example.com") -> EmailMessage:
    return EmailMessage("s", "b", sender, ["ann@example.com"])


def by_subject(message: Any) -> Any:
    answers: dict[str, Any] = {"none": None, "bad": "nowhere", "kind": 7}
    return answers.get(message.subject, message.subject)


@pytest.fixture
def some() -> None:
    configure(
        MAILQUEUE_ROUTES={
            "news": {"senders": ["News@Example.com", "@news.example"]},
            "rest": {"senders": ["@EXAMPLE.com", "@münster.example"]},
        }
    )


@pytest.mark.parametrize(
    ("sender", "route"),
    [
        ("news@example.com", "news"),
        ("NEWS@EXAMPLE.COM", "news"),
        ("The News <news@example.com>", "news"),
        ("ann@example.com", "rest"),
        ("ann@news.example", "news"),
        ("ann@more.news.example", "default"),
        ("ann@xn--mnster-3ya.example", "rest"),
        ("Ann <ann@münster.example>", "rest"),
        ("root", "default"),
        ("no address at all", "default"),
    ],
)
def test_a_sender_takes_its_route_an_address_before_a_domain(some, sender, route) -> None:
    assert route_for(mail(sender)) == route


def test_the_default_sender_counts_where_a_message_names_none(some) -> None:
    configure(DEFAULT_FROM_EMAIL="news@example.com")
    message = mail()
    message.from_email = ""
    assert route_for(message) == "news"


def test_what_was_asked_for_wins(some) -> None:
    configure(MAILQUEUE_ROUTER=f"{__name__}.by_subject")
    assert route_for(mail("news@example.com"), "rest") == "rest"
    assert route_for(mail(), "default") == "default"


@pytest.mark.parametrize(("subject", "route"), [("news", "news"), ("none", "rest")])
def test_the_router_comes_before_senders(some, subject, route) -> None:
    configure(MAILQUEUE_ROUTER=f"{__name__}.by_subject")
    message = mail()
    message.subject = subject
    assert route_for(message) == route


@pytest.mark.parametrize("subject", ["bad", "kind"])
def test_a_router_s_wrong_answer_is_told_with_the_routes_that_there_are(some, subject) -> None:
    configure(MAILQUEUE_ROUTER=f"{__name__}.by_subject")
    message = mail()
    message.subject = subject
    with pytest.raises(ConfigurationError, match=r"^MAILQUEUE_ROUTER: .*default, news, rest"):
        route_for(message)


@pytest.mark.parametrize("path", ["nowhere.router", f"{__name__}.NAMES", "plain"])
def test_a_router_that_is_none_is_told(path) -> None:
    configure(MAILQUEUE_ROUTER=path)
    with pytest.raises(ConfigurationError, match=r"^MAILQUEUE_ROUTER: .*takes a message"):
        route_for(mail())


def test_an_unknown_route_is_the_caller_s_mistake(some) -> None:
    with pytest.raises(
        ValueError, match="route is 'nws'; the routes are default, news, rest"
    ) as it:
        route_for(mail(), "nws")
    assert not isinstance(it.value, ConfigurationError)
    with pytest.raises(TypeError, match="route is a int; give a route's name"):
        route_for(mail(), 7)  # type: ignore[arg-type]
