"""What ``app.config`` says of mail: our own names, and those of Flask-Mail and Flask-Mailman."""

from email.utils import formataddr
from typing import Any, Final

from flask import Flask

from mailqueue.errors import ConfigurationError
from mailqueue.settings import NAMES

#: Names of Flask-Mail and Flask-Mailman, and ours for the same. Ours win where both are given.
FLASK_MAIL: Final = {
    "MAIL_SERVER": "EMAIL_HOST",
    "MAIL_PORT": "EMAIL_PORT",
    "MAIL_USERNAME": "EMAIL_HOST_USER",
    "MAIL_PASSWORD": "EMAIL_HOST_PASSWORD",
    "MAIL_USE_TLS": "EMAIL_USE_TLS",
    "MAIL_USE_SSL": "EMAIL_USE_SSL",
    "MAIL_TIMEOUT": "EMAIL_TIMEOUT",
    "MAIL_SSL_KEYFILE": "EMAIL_SSL_KEYFILE",
    "MAIL_SSL_CERTFILE": "EMAIL_SSL_CERTFILE",
    "MAIL_DEFAULT_SENDER": "DEFAULT_FROM_EMAIL",
    "MAIL_FILE_PATH": "EMAIL_FILE_PATH",
    "MAIL_USE_LOCALTIME": "EMAIL_USE_LOCALTIME",
}
_PEOPLE: Final = ("ADMINS", "MANAGERS")
_PAIR: Final = 2


def settings_of(app: Flask) -> dict[str, Any]:
    """The settings in ``app.config``, by our names; None means that it says nothing.

    Raises ``ConfigurationError`` for what no setting can be read of.
    """
    known = set(NAMES)
    for name in app.config:
        if name.startswith("MAILQUEUE_") and name not in known:
            raise ConfigurationError(
                f"unknown setting {name!r} in app.config; the README lists the names that exist"
            )
    found = {FLASK_MAIL[name]: app.config[name] for name in FLASK_MAIL if name in app.config}
    if "DEFAULT_FROM_EMAIL" in found:
        found["DEFAULT_FROM_EMAIL"] = _sender(found["DEFAULT_FROM_EMAIL"])
    found |= {name: app.config[name] for name in NAMES if app.config.get(name) is not None}
    for name in _PEOPLE:
        if name in found:
            found[name] = _people(name, found[name])
    return {name: value for name, value in found.items() if value is not None}


def suppressed(app: Flask) -> bool:
    """Whether mail is kept instead of sent: ``MAIL_SUPPRESS_SEND``, else ``TESTING``."""
    return bool(app.config.get("MAIL_SUPPRESS_SEND", app.testing))


def _sender(value: Any) -> Any:
    """Flask-Mail takes a pair of name and address, too."""
    if isinstance(value, list | tuple) and len(value) == _PAIR:
        return formataddr((str(value[0]), str(value[1])))
    return value


def _people(name: str, value: Any) -> list[tuple[str, str]]:
    """Pairs of name and address; an address alone is a person without a name."""
    if isinstance(value, list | tuple):
        pairs = [("", one) if isinstance(one, str) else one for one in value]
        if all(isinstance(pair, list | tuple) and len(pair) == _PAIR for pair in pairs):
            return [(str(person), str(address)) for person, address in pairs]
    raise ConfigurationError(
        f"{name} in app.config is no list of addresses or of pairs of name and address"
    )
