import logging
import sys
from types import ModuleType
from typing import Any

import pytest

from mailqueue.errors import ConfigurationError
from mailqueue.outcomes import Fault, Stage, Status
from worker.policy import Case, Decision, Kind, Meaning, Reach, Rules, decide
from worker.policy_hook import decider

RULES = Rules((30.0,), 1000.0)
FAULT = Fault(Stage.CONTENT, 554, "spam")
CASE = Case(attempt=3, age=5.0)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("shop_of_this_test")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def hooked(shop: Any, function: Any) -> Decision:
    shop.policy = function
    return decider("shop_of_this_test.policy")(FAULT, CASE, RULES, 0.5)


@pytest.mark.parametrize("path", [None, ""])
def test_without_a_hook_the_built_in_policy_decides(path: str | None) -> None:
    assert decider(path)(FAULT, CASE, RULES, 0.5) == decide(FAULT, CASE, RULES, 0.5)


def test_a_hook_is_told_the_fault_its_meaning_and_the_case(shop: ModuleType) -> None:
    seen: list[Any] = []
    assert hooked(shop, lambda *args: seen.append(args)) == decide(FAULT, CASE, RULES, 0.5)
    assert seen == [(FAULT, Meaning(Reach.MESSAGE, Kind.PERMANENT), CASE)]


def test_a_hook_s_decision_holds(shop: ModuleType) -> None:
    own = Decision(Status.DEFERRED, 7.0)
    assert hooked(shop, lambda *_: own) is own


def test_a_hook_that_raises_loses_no_mail(
    shop: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    def policy(*_: Any) -> None:
        raise RuntimeError("no row for ann@example.com")

    with caplog.at_level(logging.ERROR, "mailqueue.worker"):
        assert hooked(shop, policy).status is Status.BOUNCED
    assert "RuntimeError: no row for ***@example.com" in caplog.text
    assert "ann" not in caplog.text


@pytest.mark.parametrize("value", [True, "bounce", (Status.SENT, 1.0), Status.BOUNCED])
def test_a_hook_that_returns_anything_else_is_not_heard(
    shop: ModuleType, caplog: pytest.LogCaptureFixture, value: Any
) -> None:
    with caplog.at_level(logging.ERROR, "mailqueue.worker"):
        assert hooked(shop, lambda *_: value) == decide(FAULT, CASE, RULES, 0.5)
    assert f"returned {type(value).__name__}" in caplog.text


@pytest.mark.parametrize(
    "path",
    [
        "policy",
        ".policy",
        "no_such_module_here.policy",
        "shop_of_this_test.missing",
        "shop_of_this_test.number",
        "shop_of_this_test.",
    ],
)
def test_a_hook_that_cannot_be_loaded_names_the_setting_and_the_remedy(
    shop: Any, path: str
) -> None:
    shop.number = 7
    with pytest.raises(ConfigurationError, match=r"MAILQUEUE_POLICY: '.*write the dotted path"):
        decider(path)
