"""When Flower is not started: nobody may find it open."""

import sys
from types import SimpleNamespace

import click
import pytest
from flower.command import is_flower_option  # type: ignore[import-untyped]

from mailqueue.errors import ConfigurationError
from mailqueue.flower.starting import _refuse_open_doors, _refuse_unknown, start


def options(**given: object) -> SimpleNamespace:
    return SimpleNamespace(
        **({"address": "127.0.0.1", "unix_socket": "", "basic_auth": [], "auth": ""} | given)
    )


@pytest.mark.parametrize("address", ["", "0.0.0.0", "::", "192.0.2.1", "mail.example.com"])
def test_an_address_that_others_reach_needs_a_login(address: str) -> None:
    with pytest.raises(ConfigurationError, match="FLOWER_BASIC_AUTH"):
        _refuse_open_doors(options(address=address))
    _refuse_open_doors(options(address=address, basic_auth=["ann:secret"]))
    _refuse_open_doors(options(address=address, auth=r".*@example\.com"))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_needs_none(address: str) -> None:
    _refuse_open_doors(options(address=address))


@pytest.mark.parametrize("login", ["", ":", "ann", "ann:", ":secret"])
def test_a_login_without_name_or_password_is_none(login: str) -> None:
    with pytest.raises(ConfigurationError, match="user:password"):
        _refuse_open_doors(options(basic_auth=["bob:fine", login]))


@pytest.mark.parametrize("argument", ["--prot=5556", "-p", "5556", "--basic_aut=a:b"])
def test_what_flower_would_ignore_is_refused(argument: str) -> None:
    with pytest.raises(click.UsageError):
        _refuse_unknown([argument], is_flower_option)


def test_its_own_options_pass() -> None:
    _refuse_unknown(["--port=5556", "--basic-auth=a:b", "--read-only"], is_flower_option)


def test_without_flower_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flower", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'mailqueue\[flower\]'"):
        start([])
