"""Presets are data that routes can live by, and docs/providers.md shows them all."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

from mailqueue import conf, configure
from mailqueue.conf import get_settings
from mailqueue.limit_text import parse_limit
from mailqueue.routing.checks import check_routes, problems
from mailqueue.routing.presets import MESSAGES_PER_CONNECTION, PRESETS
from mailqueue.routing.ways import Way, ways

DOCS = Path(__file__).parents[2] / "docs"
PROVIDERS = (DOCS / "providers.md").read_text("utf-8")
NOTHING = "\N{EN DASH}"
ROUTES = (DOCS / "routes.md").read_text("utf-8")


def blocks(page: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


each = pytest.mark.parametrize("name", PRESETS)


def way(**route: Any) -> Way:
    return ways(configure(MAILQUEUE_ROUTES={"it": route}))["it"]


@each
def test_a_preset_makes_a_way_that_can_deliver(name: str) -> None:
    preset = PRESETS[name]
    given = {"preset": name, "username": "u", "password": "p"}
    made = way(**given if preset.host else given | {"host": "smtp.example"})
    check_routes(get_settings())
    assert made.arguments["host"] == (preset.host or "smtp.example")
    assert made.arguments["port"] == preset.port
    assert (made.arguments["use_tls"], made.arguments["use_ssl"]) == (preset.use_tls, False)
    assert made.limits == tuple(map(parse_limit, preset.limits))
    assert made.concurrency == preset.concurrency
    assert made.messages_per_connection == (
        preset.messages_per_connection or MESSAGES_PER_CONNECTION
    )
    assert made.idle_seconds > 0
    assert made.recipients_per_message == preset.recipients_per_message
    assert made.message_bytes == preset.message_bytes


@each
def test_what_the_route_says_wins(name: str) -> None:
    own: dict[str, Any] = {
        "host": "own.example", "port": 2525, "use_tls": False, "username": "u", "password": "p",
        "timeout": 7.0,
    }  # fmt: skip
    pace: dict[str, Any] = {
        "concurrency": 77, "messages_per_connection": 3, "idle_seconds": 1.5,
        "recipients_per_message": 9, "message_bytes": 999,
    }  # fmt: skip
    made = way(preset=name, limits=["3/s"], **own, **pace)
    assert made.arguments == own | {"ssl_keyfile": "", "ssl_certfile": ""}
    assert made.limits == (parse_limit("3/s"),)
    assert {field: getattr(made, field) for field in pace} == pace


def test_an_empty_list_takes_the_preset_s_limits_away() -> None:
    assert way(preset="microsoft365").limits
    assert way(preset="microsoft365", limits=[]).limits == ()


def test_port_465_of_a_preset_speaks_tls_from_the_first_byte() -> None:
    made = way(preset="sendgrid", port=465)
    assert (made.arguments["use_tls"], made.arguments["use_ssl"]) == (False, True)


def test_another_backend_gets_the_pace_of_a_preset_and_not_its_server() -> None:
    made = way(preset="gmail", backend="shop.mail.Backend", options={"api_key": "k"})
    assert made.arguments == {"api_key": "k"}
    assert made.limits == tuple(map(parse_limit, PRESETS["gmail"].limits))


def test_an_unknown_preset_is_told_those_that_there_are() -> None:
    (found,) = problems(configure(MAILQUEUE_ROUTES={"it": {"preset": "hotmail"}}))
    assert found.text == "MAILQUEUE_ROUTES, route 'it': preset: there is no preset 'hotmail'"
    assert all(name in found.remedy for name in PRESETS)


# The pages


@pytest.mark.parametrize("toml", blocks(PROVIDERS, "toml") + blocks(ROUTES, "toml"))
def test_each_toml_on_the_pages_works(toml: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "routes.toml").write_text(toml, "utf-8")
    monkeypatch.setenv("MAILQUEUE_ROUTES", "routes.toml")
    conf.reset()
    check_routes(get_settings())
    assert set(tomllib.loads(toml)) <= set(ways(get_settings()))


@pytest.mark.parametrize(
    ("toml", "shell"),
    list(zip(blocks(PROVIDERS, "toml"), blocks(PROVIDERS, "sh"), strict=True)),
)
def test_both_forms_of_a_provider_mean_the_same(toml: str, shell: str, monkeypatch: Any) -> None:
    name, _, value = shlex.split(shell)[1].partition("=")
    monkeypatch.setenv(name, value)
    conf.reset()
    from_environment = get_settings()
    check_routes(from_environment)
    assert configure(MAILQUEUE_ROUTES=tomllib.loads(toml)) == from_environment


def test_the_forms_on_the_page_about_routes_mean_the_same(monkeypatch: Any) -> None:
    (shell,) = blocks(ROUTES, "sh")
    monkeypatch.setenv(*shlex.split(shell)[1].split("=", 1))
    conf.reset()
    table, router = blocks(ROUTES, "python")
    told: dict[str, Any] = {}
    exec(table + router, told)
    assert configure(MAILQUEUE_ROUTES=told["MAILQUEUE_ROUTES"]) == get_settings()
    check_routes(get_settings())


def test_every_preset_has_its_example_and_its_line() -> None:
    shown = [route["preset"] for toml in blocks(PROVIDERS, "toml")
             for route in tomllib.loads(toml).values()]  # fmt: skip
    assert shown == list(PRESETS)
    table = re.findall(r"^\| `([\w-]+)` \|(.*)\|$", PROVIDERS, re.MULTILINE)
    assert [name for name, _ in table] == list(PRESETS)
    for name, rest in table:
        preset = PRESETS[name]
        host, limits, connections, messages, recipients, size = (
            cell.strip() for cell in rest.split("|")
        )
        assert host == f"{preset.host or 'by region'}:{preset.port}"
        assert limits == (", ".join(preset.limits) or NOTHING)
        figures = [connections, messages, recipients, size]
        assert [figure.replace(",", "") for figure in figures] == [
            str(value or NOTHING)
            for value in (
                preset.concurrency,
                preset.messages_per_connection or MESSAGES_PER_CONNECTION,
                preset.recipients_per_message,
                preset.message_bytes,
            )
        ]


def test_the_page_about_routes_has_every_field() -> None:
    from mailqueue.routing.route import Route

    cells = re.findall(r"^\| (`[^|]+) \|", ROUTES, re.MULTILINE)
    named = [field for cell in cells for field in re.findall(r"`(\w+)`", cell)]
    assert sorted(named) == sorted(set(Route.__struct_fields__) - {"name"})
