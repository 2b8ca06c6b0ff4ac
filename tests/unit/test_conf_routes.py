"""Where ``MAILQUEUE_ROUTES`` may stand, and how a mistake in it is told."""

import json
from pathlib import Path
from typing import Any

import pytest

from mailqueue import conf, configure
from mailqueue.conf import get_settings
from mailqueue.errors import ConfigurationError
from mailqueue.routing.route import Route
from mailqueue.settings import Settings

TABLES: dict[str, Any] = {"ses": {"host": "h", "password": "geheim", "limits": ["14/s"]}}
ROUTE = Route(name="ses", host="h", password="geheim", limits=("14/s",))
TOML = "[ses]\nhost = 'h'\npassword = 'geheim'\nlimits = ['14/s']\n"


@pytest.mark.parametrize("text", [json.dumps(TABLES), " \n" + json.dumps(TABLES, indent=1)])
def test_json_in_the_environment(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("MAILQUEUE_ROUTES", text)
    conf.reset()
    assert get_settings().MAILQUEUE_ROUTES == {"ses": ROUTE}


@pytest.mark.parametrize(
    ("name", "text"), [("r.toml", TOML), ("r.json", json.dumps(TABLES)), ("ü {.toml", TOML)]
)
def test_a_file_named_in_the_environment_or_in_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, text: str
) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    monkeypatch.setenv("MAILQUEUE_ROUTES", str(path))
    conf.reset()
    assert get_settings().MAILQUEUE_ROUTES == {"ses": ROUTE}
    monkeypatch.delenv("MAILQUEUE_ROUTES")
    conf.reset()
    assert configure(MAILQUEUE_ROUTES=path).MAILQUEUE_ROUTES == {"ses": ROUTE}
    assert configure(MAILQUEUE_ROUTES=str(path)).MAILQUEUE_ROUTES == {"ses": ROUTE}


def test_a_dict_in_code() -> None:
    assert configure(MAILQUEUE_ROUTES=TABLES).MAILQUEUE_ROUTES == {"ses": ROUTE}
    assert configure(MAILQUEUE_ROUTES={"b": ROUTE}).MAILQUEUE_ROUTES["b"].name == "b"
    assert configure(MAILQUEUE_ROUTES={}).MAILQUEUE_ROUTES == {}
    assert configure(MAILQUEUE_ROUTES=None).MAILQUEUE_ROUTES == {}


@pytest.mark.parametrize(
    ("tables", "error"),
    [
        ({"ses": {"limits": ["14/s", 3]}}, "route 'ses': limits[1]: Expected `str`, got `int`"),
        ({"ses": {"port": 0}}, "route 'ses': port: Expected `int` >= 1"),
        ({"ses": {"port": "x"}}, "route 'ses': port: Expected `int"),
        ({"ses": {"passwort": "geheim"}}, "route 'ses': Object contains unknown field `passwort`"),
        ({"ses": {"password": ["geheim"]}}, "route 'ses': password: Expected `str"),
        ({"ses": {"oauth": {"client_id": "c"}}}, "route 'ses': oauth: Object missing required"),
        ({"ses": {"choose": {"a b": 1}}}, "route 'ses': a key in choose: Expected `str` matching"),
        ({"ses": {"name": "x"}}, "route 'ses': leave `name` out"),
        ({"ses": "geheim"}, "route 'ses': a table is wanted, this is a str"),
        ({"s s": {}}, "route 's s': this is no name; take up to 50 letters"),
        ({"": {}}, "route '': this is no name"),
        ({"a" * 51: {}}, "this is no name"),
        ({"a:b\n": {}}, "this is no name"),
        (["geheim"], ": a table for each route is wanted, by its name; this is a list"),
    ],
)
def test_a_mistake_is_told_with_its_route_and_field_wherever_it_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tables: Any, error: str
) -> None:
    with pytest.raises(ConfigurationError) as in_code:
        configure(MAILQUEUE_ROUTES=tables)
    path = tmp_path / "routes.json"
    path.write_text(json.dumps(tables), "utf-8")
    found = [(str(in_code.value), "mailqueue.configure()")]
    places = [(json.dumps(tables), "the environment"), (str(path), f"the environment ({path})")]
    for value, where in places:
        monkeypatch.setenv("MAILQUEUE_ROUTES", value)
        conf.reset()
        with pytest.raises(ConfigurationError) as caught:
            get_settings()
        found.append((str(caught.value), where))
    for text, where in found:
        assert text.startswith(f"MAILQUEUE_ROUTES in {where}")
        assert error in text
        assert "geheim" not in text


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("geheim", "neither a JSON object nor the path of a .toml or .json file"),
        ('{"ses": {"password": "geheim"', "this is no JSON"),
        ("/nowhere/routes.toml", "(/nowhere/routes.toml): the file cannot be read: No such file"),
        ("FILE.toml", "FILE.toml): this is no TOML (at line 2, column"),
        ("FILE.json", "FILE.json): this is no JSON (byte 1)"),
        ("DIR.json", "DIR.json): the file cannot be read: Is a directory"),
        ("LATIN.toml", "LATIN.toml): this is no TOML"),
    ],
)
def test_a_text_that_is_neither_is_told_without_repeating_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, error: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("FILE.toml", "FILE.json"):
        (tmp_path / name).write_text("[ses]\npassword = geheim\n", "utf-8")
    (tmp_path / "LATIN.toml").write_bytes(b"[ses]\npassword = 'geheim\xe4'\n")
    (tmp_path / "DIR.json").mkdir()
    monkeypatch.setenv("MAILQUEUE_ROUTES", text)
    conf.reset()
    with pytest.raises(ConfigurationError, match=r"^MAILQUEUE_ROUTES in the environment") as caught:
        get_settings()
    assert error in str(caught.value).replace("[ses]", "")
    assert "geheim" not in str(caught.value)


def test_a_mistake_changes_nothing() -> None:
    before = configure(MAILQUEUE_ROUTES=TABLES)
    with pytest.raises(ConfigurationError):
        configure(MAILQUEUE_ROUTES={"x": 1}, EMAIL_HOST="lost")
    assert get_settings() == before


def test_passwords_are_not_shown() -> None:
    tables = {"ses": {"password": "geheim", "oauth": {"token_url": "t", "client_id": "c",
              "client_secret": "geheim"}, "options": {"api_key": "geheim"}}}  # fmt: skip
    settings = configure(MAILQUEUE_ROUTES=tables)
    assert repr(settings) == "Settings(MAILQUEUE_ROUTES=***)"
    assert "geheim" not in repr(settings.MAILQUEUE_ROUTES)
    assert "geheim" not in repr(Settings(MAILQUEUE_ROUTES=tables))  # type: ignore[arg-type]


def test_allowed_domains_may_be_one_text_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILQUEUE_ALLOWED_DOMAINS", "example.com, *.example.org,")
    conf.reset()
    assert get_settings().MAILQUEUE_ALLOWED_DOMAINS == ("example.com", "*.example.org")
