"""What settings name by dotted path: backends, a policy, listeners."""

from importlib import import_module
from typing import Any

from mailqueue.errors import ConfigurationError


def load(path: str, setting: str, wanted: str) -> Any:
    """The callable at a dotted path.

    Args:
        path: ``package.module.name``.
        setting: Where the path comes from, for the error.
        wanted: What it shall be, for the error: "a function that …".

    Raises:
        ConfigurationError: There is no such thing, or its module does not import.
    """
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
        reason = "" if callable(found) else f"it is a {type(found).__name__}"
    except Exception as error:  # a stranger's module may raise anything
        raise _unusable(path, setting, wanted, f"{type(error).__name__}: {error}") from error
    if reason:
        raise _unusable(path, setting, wanted, reason)
    return found


def _unusable(path: str, setting: str, wanted: str, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"{setting}: {path!r} cannot be loaded ({reason}); write the dotted path of {wanted}"
    )
