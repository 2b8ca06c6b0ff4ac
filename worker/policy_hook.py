"""``MAILQUEUE_POLICY``: a user's function in front of the built-in policy."""

import logging
from collections.abc import Callable

from mailqueue.loading import load
from mailqueue.outcomes import Fault
from mailqueue.privacy import without_addresses
from worker.policy import Case, Decision, Meaning, Rules, classify, decide_meaning

#: What the setting names: None leaves the decision to the built-in policy.
Hook = Callable[[Fault, Meaning, Case], Decision | None]
Decide = Callable[[Fault, Case, Rules, float], Decision]

_logger = logging.getLogger("mailqueue.worker")


def decider(path: str | None) -> Decide:
    """Make the function that the worker asks.

    Args:
        path: ``MAILQUEUE_POLICY``, the dotted path of a function; empty: the built-in policy alone.

    Raises:
        ConfigurationError: There is no such function.
    """
    wanted = "a function that the worker can import, like 'shop.mail.policy', or leave it unset"
    hook: Hook | None = load(path, "MAILQUEUE_POLICY", wanted) if path else None

    def decide(fault: Fault, case: Case, rules: Rules, draw: float) -> Decision:
        meaning = classify(fault, unknown=case.unknown)
        own = _ask(hook, fault, meaning, case) if hook else None
        return own or decide_meaning(meaning, fault, case, rules, draw)

    return decide


def _ask(hook: Hook, fault: Fault, meaning: Meaning, case: Case) -> Decision | None:
    """The hook's decision. Mail must not be lost by its mistakes: they are logged, no more."""
    try:
        own: object = hook(fault, meaning, case)
    except Exception as error:  # noqa: BLE001 - a user's function may raise anything
        _complain(f"raised {type(error).__name__}: {error}")
        return None
    if own is None or isinstance(own, Decision):
        return own
    _complain(f"returned {type(own).__name__}; a Decision or None is wanted")
    return None


def _complain(what: str) -> None:
    _logger.error("MAILQUEUE_POLICY %s; the built-in policy decided", without_addresses(what))
