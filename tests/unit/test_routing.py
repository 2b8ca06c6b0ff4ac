"""From settings to ways out: what ``default`` is, what is inherited, which domain is whose."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailqueue import configure, get_connection
from mailqueue.conf import get_settings
from mailqueue.errors import ConfigurationError
from mailqueue.limit_text import parse_limit
from mailqueue.routing.domain_patterns import domain_table, read_pattern
from mailqueue.routing.route import OAuth, Route
from mailqueue.routing.ways import Way, ways
from mailqueue.settings import DEFAULTS, Settings

NOBODY = {"username": "", "password": "", "ssl_keyfile": "", "ssl_certfile": ""}
DJANGOS = "django.core.mail.backends.smtp.EmailBackend"
LOGIN = {"EMAIL_HOST_USER": "u", "EMAIL_HOST_PASSWORD": "geheim"}


def way(name: str = "it", routes: Any = None, **settings: Any) -> Way:
    return ways(configure(MAILQUEUE_ROUTES=routes or {}, **settings))[name]


def test_without_routes_default_adds_nothing_to_what_backends_look_up() -> None:
    (only,) = ways(DEFAULTS).values()
    assert only.name == "default"
    assert only.backend == DEFAULTS.MAILQUEUE_DELIVERY_BACKEND
    assert dict(only.arguments) == {}
    assert (only.limits, only.concurrency, only.messages_per_connection) == ((), None, 50)
    assert only.group_of("example.com") is None


def test_default_is_there_beside_others_and_may_be_one_of_them() -> None:
    assert set(ways(configure(MAILQUEUE_ROUTES={"a": {}}))) == {"default", "a"}
    assert way("default", {"default": {"limits": ["1/s"]}}).limits == (parse_limit("1/s"),)


def test_the_same_settings_have_the_same_ways() -> None:
    settings = configure(MAILQUEUE_ROUTES={"a": {}})
    assert ways(settings) is ways(get_settings())
    assert ways(configure(EMAIL_PORT=26)) is not ways(settings)


def test_ways_are_never_changed() -> None:
    made = way(routes={"it": {"host": "h"}})
    with pytest.raises(AttributeError):
        made.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        made.arguments["host"] = "other"  # type: ignore[index]


def test_what_is_set_is_passed_on_and_no_more() -> None:
    oauth = {"token_url": "https://t", "client_id": "c", "client_secret": "geheim"}
    made = way(
        routes={
            "it": {
                "host": "h", "port": 587, "username": "u", "use_tls": True, "timeout": 5,
                "oauth": oauth, "options": {"local_hostname": "here"},
            }
        }
    )  # fmt: skip
    assert made.arguments == NOBODY | {
        "host": "h", "port": 587, "username": "u", "use_tls": True, "use_ssl": False,
        "timeout": 5.0, "oauth": OAuth(**oauth), "local_hostname": "here",
    }  # fmt: skip
    assert "geheim" not in repr(made)


@pytest.mark.parametrize("backend", [DEFAULTS.MAILQUEUE_DELIVERY_BACKEND, DJANGOS])
def test_a_login_never_goes_to_another_host(backend: str) -> None:
    routes = {"it": {"host": "elsewhere.example"}, "preset": {"preset": "sendgrid"}, "same": {}}
    for name in ("it", "preset"):
        made = way(name, routes, MAILQUEUE_DELIVERY_BACKEND=backend, **LOGIN)
        assert {key: made.arguments[key] for key in NOBODY} == NOBODY
    assert dict(way("same", routes, **LOGIN).arguments) == {}


def test_only_default_takes_its_login_from_the_email_settings() -> None:
    made = way("default", {"default": {"preset": "sendgrid"}}, **LOGIN)
    assert not {"username", "password"} & set(made.arguments)
    connection = get_connection(made.backend, **made.arguments)
    assert (connection.host, connection.username) == ("smtp.sendgrid.net", "u")


@pytest.mark.parametrize(("one", "other"), [("use_tls", "use_ssl"), ("use_ssl", "use_tls")])
def test_one_kind_of_tls_rules_the_other_out(one: str, other: str) -> None:
    settings: dict[str, Any] = {f"EMAIL_{other.upper()}": True}
    made = way(routes={"it": {one: True}}, **settings)
    assert (made.arguments[one], made.arguments[other]) == (True, False)


def test_a_backend_of_its_own_is_given_what_the_route_says() -> None:
    options = {"file_path": "/tmp/x"}
    made = way(routes={"it": {"backend": "a.B", "host": "h", "options": options}})
    assert (made.backend, dict(made.arguments)) == ("a.B", {"host": "h", **options})


def test_routes_follow_the_delivery_backend() -> None:
    console = "mailqueue.backends.console.EmailBackend"
    made = way(routes={"it": {"preset": "gmail"}}, MAILQUEUE_DELIVERY_BACKEND=console)
    assert (made.backend, dict(made.arguments)) == (console, {})
    get_connection(made.backend, **made.arguments)


def test_wrong_routes_make_no_ways() -> None:
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"^MAILQUEUE_ROUTES, route 'it': limits\[1\]"):
            way(routes={"it": {"limits": ["1/s", "2/x"]}})


def test_groups_have_names_domains_and_limits() -> None:
    google = {"domains": ["gmail.com", "*.googlemail.com"], "limits": ["5/s", "2000/h"]}
    made = way(routes={"it": {"domains": {"google": google}}})
    assert made.groups["google"].limits == (parse_limit("5/s"), parse_limit("2000/h"))
    assert made.group_of("GMAIL.com.") == made.group_of("a.b.googlemail.com") == "google"
    assert made.group_of("x.gmail.com") is None


# Domain patterns

LABEL = st.text("abcxyz019", min_size=1, max_size=4)
DOMAIN = st.lists(LABEL, min_size=1, max_size=4).map(".".join)


@given(DOMAIN, DOMAIN)
def test_a_star_means_the_domain_and_all_below_it(domain: str, other: str) -> None:
    table = domain_table({"it": [f"*.{domain}"]})
    assert table.find(domain) == table.find(f"{other}.{domain}") == "it"
    assert table.find(f"{other}{domain}") in (
        (None, "it") if f"{other}{domain}".endswith(f".{domain}") else (None,)
    )
    assert domain_table({"it": [domain]}).find(f"{other}.{domain}") is None


@given(st.lists(st.tuples(st.booleans(), DOMAIN), max_size=8, unique=True), DOMAIN)
def test_the_most_exact_pattern_wins(patterns: list[tuple[bool, str]], domain: str) -> None:
    named = {f"{below}:{text}": [f"*.{text}" if below else text] for below, text in patterns}
    found = domain_table(named).find(domain.upper() + ".")
    fitting = [
        (not below, len(text), f"{below}:{text}")
        for below, text in patterns
        if text == domain or (below and domain.endswith(f".{text}"))
    ]
    assert found == (max(fitting)[2] if fitting else None)


def test_domains_are_compared_in_ascii() -> None:
    table = domain_table({"it": ["*.Münster.example"]})
    assert table.find("xn--mnster-3ya.example") == table.find("post.münster.example") == "it"
    assert table.find("m\u202eünster") is None


@pytest.mark.parametrize(
    "text", ["", "*", "*.", "a@b.c", "a b", "http://x", "*.*.com", "a..b", "@"]
)
def test_what_is_no_pattern_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no domain; write 'example.com', or '\*\.example"):
        read_pattern(text)


def test_a_pattern_of_two_groups_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'B\.example' is in both 'a' and 'b'"):
        domain_table({"a": ["b.example", "B.EXAMPLE"], "b": ["B.example"]})


def test_settings_made_by_hand_work_as_well() -> None:
    assert ways(Settings(MAILQUEUE_ROUTES={"a": Route(name="a", host="h")}))["a"].arguments["host"]
