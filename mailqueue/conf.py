"""Where settings come from: the only module that reads the environment.

Each name is looked up in this order; the first that has it wins:

1. what ``mailqueue.configure(NAME=value)`` was given;
2. ``django.conf.settings``, live, where Django is configured in this process; but not what
   nobody set and Django only has a default for;
3. the environment variable of the same name;
4. the default in ``settings.py``.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from mailqueue import django_settings
from mailqueue.errors import ConfigurationError
from mailqueue.routing.reading import read_routes
from mailqueue.settings import NAMES, Settings

_JSON_IN_ENVIRONMENT: Final = frozenset({"ADMINS", "MANAGERS"})
#: Lists that may be written as one text, with commas.
_WITH_COMMAS: Final = frozenset(
    {"MAILQUEUE_RETRY_SCHEDULE", "MAILQUEUE_EVENTS", "MAILQUEUE_ALLOWED_DOMAINS"}
)

_configured: dict[str, Any] = {}
_resets = 0
_from_environment: Settings | None = None
_from_django: tuple[tuple[Any, ...], Settings] | None = None


def configure(**values: Any) -> Settings:
    """Set settings from code, over the environment's and Django's; returns what now holds.

    Calls add up. Raises ``ConfigurationError`` for an unknown name or a value out of range, and
    then nothing is changed.
    """
    global _configured  # noqa: PLW0603 - the process's one configuration
    unknown = sorted(values.keys() - set(NAMES))
    if unknown:
        raise ConfigurationError(
            f"unknown setting {unknown[0]!r}; the README lists the names that exist"
        )
    _validated(values, "mailqueue.configure()")
    _configured = {**_configured, **values}
    _forget()
    return get_settings()


def resets() -> int:
    """How often ``reset()`` was called: what was configured before the last one holds no more."""
    return _resets


def reset() -> None:
    """Forget ``configure()`` and what was read from the environment, which is then read again."""
    global _configured, _resets  # noqa: PLW0603 - the process's one configuration
    _configured = {}
    _resets += 1
    _forget()


def _forget() -> None:
    global _from_environment, _from_django  # noqa: PLW0603 - caches of the above
    _from_environment = None
    _from_django = None


def get_settings() -> Settings:
    """The settings that hold now. Cheap enough to call for each message.

    Raises ``ConfigurationError`` when the environment holds a value of the wrong kind.
    """
    global _from_environment  # noqa: PLW0603 - read once
    if _from_environment is None:
        found = {name: os.environ[name] for name in NAMES if os.environ.get(name)}
        given = _validated(_parse(found), "the environment")
        given |= _validated(_configured, "mailqueue.configure()")
        _from_environment = Settings(**given)
    conf = django_settings.configured()
    return _from_environment if conf is None else _over_django(conf, _from_environment)


def _parse(found: Mapping[str, str]) -> dict[str, Any]:
    """Turn the environment's texts for lists into lists; msgspec converts the rest."""
    parsed: dict[str, Any] = dict(found)
    for name in _JSON_IN_ENVIRONMENT & found.keys():
        try:
            parsed[name] = msgspec.json.decode(found[name], type=list[tuple[str, str]])
        except msgspec.DecodeError as error:
            raise ConfigurationError(
                f"{name} in the environment: {error}; "
                f'write pairs as JSON, like [["Ann", "ann@example.com"]]'
            ) from error
    return parsed


def _validated(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Convert and range-check; only the names given come back."""
    plain = {
        name: str(value) if isinstance(value, Path) else value for name, value in values.items()
    }
    for name in _WITH_COMMAS & plain.keys():
        if isinstance(plain[name], str):
            plain[name] = [part.strip() for part in plain[name].split(",") if part.strip()]
    if "MAILQUEUE_ROUTES" in plain:
        plain["MAILQUEUE_ROUTES"] = read_routes(plain["MAILQUEUE_ROUTES"] or {}, where)
    try:
        checked = msgspec.convert(plain, Settings, strict=False)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$.")
        name = path.rstrip("`").split("[")[0] or "a setting"
        raise ConfigurationError(f"{name} in {where}: {text}") from None
    return {name: getattr(checked, name) for name in plain}


def _over_django(conf: Any, base: Settings) -> Settings:
    """Django's live values over ``base``; ``configure()`` stays on top.

    Django's own settings are taken as they are (its checks and error texts are its own); ours are
    validated.
    """
    global _from_django  # noqa: PLW0603 - cache, keyed by the raw values
    raw = django_settings.raw_values(conf, base)
    if _from_django is not None and _from_django[0] == raw:
        return _from_django[1]
    live = {
        name: value
        for name, value in zip(NAMES, raw, strict=True)
        if value is not django_settings.MISSING and name not in _configured
    }
    ours = {name: value for name, value in live.items() if name.startswith("MAILQUEUE_")}
    live |= _validated(ours, "Django's settings")
    settings = msgspec.structs.replace(base, **live)
    _from_django = (raw, settings)
    return settings
