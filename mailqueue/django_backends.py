"""What a backend made for Django is constructed with. Django is never imported here.

Its SMTP backend looks up ``EMAIL_…`` in Django's settings, where the time-out is none unless set,
and where with ``MAILERS`` (6.1) there are no such names at all. So it is told what holds for us.
"""

import sys
from typing import Any, Final

from mailqueue import django_settings
from mailqueue.settings import Settings

#: Its arguments, and the settings that hold where a route says nothing.
_SMTP: Final = {
    "host": "EMAIL_HOST",
    "port": "EMAIL_PORT",
    "username": "EMAIL_HOST_USER",
    "password": "EMAIL_HOST_PASSWORD",
    "use_tls": "EMAIL_USE_TLS",
    "use_ssl": "EMAIL_USE_SSL",
    "timeout": "EMAIL_TIMEOUT",
    "ssl_keyfile": "EMAIL_SSL_KEYFILE",
    "ssl_certfile": "EMAIL_SSL_CERTFILE",
}
#: A mailer's name, as error texts of Django's have it; it needs not stand in ``MAILERS``.
_ALIAS: Final = "mailqueue"


def arguments_for(made: Any, settings: Settings, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments for a backend's class; those given, where it is not one of Django's."""
    mro = getattr(made, "__mro__", ())
    if not any(cls.__module__.startswith("django.core.mail.") for cls in mro):
        return given
    arguments = dict(given)
    smtp = getattr(sys.modules.get("django.core.mail.backends.smtp"), "EmailBackend", None)
    is_smtp = smtp is not None and made.__init__ is smtp.__init__
    if is_smtp:
        inherited = {name: getattr(settings, ours) for name, ours in _SMTP.items()}
        # None means "look it up" to it.
        arguments = inherited | {k: v for k, v in given.items() if v is not None}
    conf = django_settings.configured()
    if conf is not None and hasattr(conf, "MAILERS"):
        arguments.setdefault("alias", _ALIAS)
        if not arguments.get("fail_silently"):
            arguments.pop("fail_silently", None)  # unknown to all but those that have it
        for name in ("username", "password"):
            if not is_smtp and arguments.get(name, "") is None:
                del arguments[name]
        if any(cls.__module__ == "django.core.mail.backends.filebased" for cls in mro):
            arguments.setdefault("file_path", settings.EMAIL_FILE_PATH)
    return arguments
