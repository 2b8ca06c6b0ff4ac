"""What is refused of routes and staging settings: the setting, the route, and the remedy."""

from typing import Any

import pytest

from mailqueue import configure
from mailqueue.contradictions import contradictions
from mailqueue.errors import ConfigurationError
from mailqueue.routing.checks import check_routes, problems
from mailqueue.settings import Settings

QUEUE = "mailqueue.backends.queue.EmailBackend"
DJANGOS = "django.core.mail.backends.smtp.EmailBackend"
OAUTH = {"token_url": "https://t.example", "client_id": "c"}
HOST = {"host": "h.example"}

#: A route, a piece of the problem, a piece of the remedy; and whether a producer minds.
WRONG: list[tuple[dict[str, Any], str, str, bool]] = [
    ({"preset": "x"}, "preset: there is no preset 'x'", "postmark", True),
    ({"limits": ["1/s", "0/s"]}, "limits[1]: '0/s' allows 0", "count from 1", True),
    ({"limits": ["1 s"]}, "limits[0]: '1 s' is no limit", "14/s", True),
    (
        {"domains": {"g": {"domains": ["a.example"], "limits": ["x"]}}},
        "domains.g.limits[0]: 'x' is no limit", "14/s", True,
    ),
    ({"domains": {"g": {"domains": ["a@b"], "limits": []}}}, "domains: 'a@b' is no", "*.ex", True),
    ({"domains": {"g": {"domains": [], "limits": []}}}, "domains.g names no", "leave the", True),
    (
        {"domains": {name: {"domains": ["a.example"], "limits": []} for name in "gh"}},
        "domains: 'a.example' is in both 'g' and 'h'", "correct it", True,
    ),
    ({"options": {"host": "h"}}, "options.host is no further", "the route's host", True),
    ({"options": {"fail_silently": True}}, "options.fail_silently is no", "leave it out", True),
    ({"failover": ["nowhere"]}, "failover names 'nowhere'", "add it to MAILQUEUE_ROUTES", True),
    ({"failover": ["it"]}, "failover names the route itself", "leave it out", True),
    ({"choose": {"nowhere": 1}}, "choose names 'nowhere'", "one of default, it, other", True),
    ({"choose": {"it": 1}}, "choose names the route itself", "leave it out", True),
    ({"choose": {"other": 1}, **HOST}, "choose stands beside host", "it chooses from", True),
    (
        {"choose": {"other": 1}, "limits": [], "preset": "postfix"},
        "choose stands beside preset, limits", "it chooses from", True,
    ),
    ({"choose": {"circle": 1}}, "choose leads back to it", "routes that send", True),
    ({"senders": ["nobody"]}, "senders[0]: 'nobody' is no sender", "'@example.com'", True),
    ({"senders": ["a@b.c", "@*.x.y"]}, "senders[1]: '@*.x.y' is no", "'@example.com'", True),
    ({"senders": ["A@Taken.Example"]}, "senders[0]: 'A@Taken.Example' takes route 'other'",
     "leave it out", True),
    ({"username": "u", **HOST}, "username is set without a password", "set password", False),
    ({"password": "geheim", **HOST}, "password is set without a user", "set username", False),
    ({"preset": "sendgrid"}, "username is missing: preset 'sendgrid'", "set username", False),
    ({"oauth": OAUTH, **HOST}, "oauth is set without the user", "set username", False),
    (
        {"oauth": OAUTH, "username": "u", "backend": DJANGOS, **HOST},
        "oauth: Django's backend cannot", "mailqueue.backends.smtp", False,
    ),
    ({"use_tls": True, "use_ssl": True}, "use_tls and use_ssl are both on", "port 465", False),
    ({"ssl_keyfile": "k"}, "ssl_keyfile is set without the cert", "ssl_certfile", False),
    ({"backend": QUEUE}, "backend is the queue itself", "mailqueue.backends.smtp", False),
    ({"backend": "no.such.Backend"}, "backend: 'no.such.Backend' cannot be", "dotted path", False),
    ({"backend": "mailqueue.settings.NAMES"}, "cannot be loaded (it is a tuple)", "path", False),
    (
        {"preset": "ses", "username": "u", "password": "geheim"},
        "host is missing; for preset 'ses'", "amazonaws.com", False,
    ),
]  # fmt: skip
OTHERS = {"other": {"senders": ["a@taken.example"]}}


def settings_of(route: dict[str, Any], **values: Any) -> Settings:
    others: dict[str, Any] = dict(OTHERS)
    if "circle" in route.get("choose", {}):
        others["circle"] = {"choose": {"other": 1, "it": 1}}
    return configure(MAILQUEUE_ROUTES=others | {"it": route}, **values)


@pytest.mark.parametrize(("route", "text", "remedy", "for_producers"), WRONG)
def test_what_is_wrong_is_named_with_its_remedy(
    route: dict[str, Any], text: str, remedy: str, *, for_producers: bool
) -> None:
    settings = settings_of(route)
    found = [problem for problem in problems(settings) if "route 'it'" in problem.text]
    assert len(found) == 1
    assert found[0].text.startswith("MAILQUEUE_ROUTES, route 'it': ")
    assert text in found[0].text
    assert remedy in found[0].remedy
    assert "geheim" not in str(found)
    with pytest.raises(ConfigurationError) as caught:
        check_routes(settings)
    assert "; " in str(caught.value)
    if for_producers:
        with pytest.raises(ConfigurationError):
            check_routes(settings, delivering=False)
    else:
        check_routes(settings, delivering=False)


@pytest.mark.parametrize(
    "route",
    [
        {},
        {"preset": "postfix"},
        {"preset": "workspace-relay"},
        {"oauth": OAUTH, "username": "u", **HOST},
        {"username": "u", "password": "p", **HOST},
        {"username": "", "password": "", **HOST},
        {"choose": {"other": 1, "default": 2}, "failover": ["other"], "senders": ["x@y.z"]},
        {"preset": "sendgrid", "backend": "mailqueue.backends.console.EmailBackend"},
        {"ssl_certfile": "c", "ssl_keyfile": "k"},
    ],
)
def test_what_can_work_is_left_alone(route: dict[str, Any]) -> None:
    settings = settings_of(route, EMAIL_HOST_USER="u", EMAIL_HOST_PASSWORD="p")
    assert list(problems(settings)) == []
    check_routes(settings)


def test_default_may_take_host_and_login_from_the_email_settings() -> None:
    values = {"EMAIL_HOST": "email-smtp.x.amazonaws.com", "EMAIL_HOST_USER": "u"}
    settings = configure(
        MAILQUEUE_ROUTES={"default": {"preset": "ses"}}, EMAIL_HOST_PASSWORD="p", **values
    )
    assert list(problems(settings)) == []


def test_all_of_it_is_found_at_once_and_is_fatal() -> None:
    wrong = {
        "a": {"limits": ["x"], "failover": ["b"]},
        "b": {"preset": "gmail"},
        "c": {"preset": ""},
    }
    found = [
        each for each in contradictions(configure(MAILQUEUE_ROUTES=wrong)) if "route '" in each.text
    ]
    assert len(found) == 3
    assert all(each.fatal for each in found)


def test_a_router_that_cannot_be_loaded_is_worth_a_look() -> None:
    settings = configure(MAILQUEUE_ROUTER="no.such.router", MAILQUEUE_BROKER_URL="redis://r")
    (found,) = contradictions(settings)
    assert "MAILQUEUE_ROUTER: 'no.such.router' cannot be loaded" in found.text
    assert not found.fatal


@pytest.mark.parametrize("address", ["nobody", "a@b.c, d@e.f", "a@", "<>", "a@b.c\n"])
def test_redirecting_to_what_is_not_one_address_is_refused(address: str) -> None:
    (found,) = problems(configure(MAILQUEUE_REDIRECT_ALL_TO=address))
    assert found.text.startswith("MAILQUEUE_REDIRECT_ALL_TO is ")
    assert "staging@example.com" in found.remedy


@pytest.mark.parametrize("address", [None, "", "ann@example.com", "Ann <ann@example.com>"])
def test_redirecting_to_one_address_or_to_none_is_fine(address: str | None) -> None:
    check_routes(configure(MAILQUEUE_REDIRECT_ALL_TO=address))


def test_allowed_domains_are_such() -> None:
    check_routes(configure(MAILQUEUE_ALLOWED_DOMAINS="example.com, *.example.org"))
    with pytest.raises(ConfigurationError, match=r"^MAILQUEUE_ALLOWED_DOMAINS: 'a@b.c' is no"):
        check_routes(configure(MAILQUEUE_ALLOWED_DOMAINS=["a@b.c"]))
