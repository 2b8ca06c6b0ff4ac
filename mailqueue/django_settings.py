"""Django's settings as they count for us. Django is never imported here; where it is, it is read.

Django has a value for every name of its own, set or not. One that nobody set does not count: an
environment variable is somebody's word, and our default of ``EMAIL_TIMEOUT`` is better than none.
A test runner sets by plain assignment, which ``is_overridden()`` does not always see; a value that
differs from Django's default was set by somebody, too.
"""

import sys
from typing import Any, Final

from mailqueue import celery_email
from mailqueue.settings import DEFAULTS, NAMES, Settings

MISSING: Final = object()
_BACKENDS: Final = "django.core.mail.backends."
_SMTP: Final = "django.core.mail.backends.smtp.EmailBackend"


def configured() -> Any:
    """``django.conf.settings`` where Django is loaded and configured; else None."""
    module = sys.modules.get("django.conf")
    conf = getattr(module, "settings", None)
    return conf if conf is not None and conf.configured else None


def raw_values(conf: Any, base: Settings) -> tuple[Any, ...]:
    """A value for each of ``NAMES``, or ``MISSING``. Cheap: it is asked for each message.

    Args:
        conf: What ``configured()`` returned.
        base: Settings of the environment, which hold where Django says nothing.
    """
    # Behind the proxy: from 6.1 on that warns of names that are Django's, and not the caller's.
    holder = conf._wrapped  # noqa: SLF001
    values = dict(zip(NAMES, (_said(holder, name) for name in NAMES), strict=True))
    values["EMAIL_BACKEND"] = _email_backend(holder, values["EMAIL_BACKEND"])
    if values["EMAIL_SUBJECT_PREFIX"] is MISSING and base.EMAIL_SUBJECT_PREFIX == "":
        # The one default that is Django's own: its users know their mail by it.
        values["EMAIL_SUBJECT_PREFIX"] = getattr(holder, "EMAIL_SUBJECT_PREFIX", MISSING)
    for name, value in celery_email.taken_over(holder).items():
        if values[name] is MISSING and getattr(base, name) == getattr(DEFAULTS, name):
            values[name] = value
    for name in ("ADMINS", "MANAGERS"):
        people = values[name]
        # Addresses alone are Django 6's way to write it; pairs are ours, and Django 5's.
        if isinstance(people, list | tuple) and any(isinstance(one, str) for one in people):
            values[name] = _pairs(people)
    return tuple(values.values())


def _pairs(people: Any) -> Any:
    if getattr(sys.modules.get("django"), "VERSION", (0,)) < (6,):
        return people
    return [("", one) if isinstance(one, str) else one for one in people]


def _said(holder: Any, name: str) -> Any:
    """What somebody set; ``MISSING`` where it is Django's default."""
    value = getattr(holder, name, MISSING)
    defaults = sys.modules.get("django.conf.global_settings")
    default = getattr(defaults, name, MISSING)
    if value is not MISSING and value == default and not holder.is_overridden(name):
        return MISSING
    return value


def _email_backend(holder: Any, value: Any) -> Any:
    """What Django's ``EMAIL_BACKEND`` means for a caller of ``mailqueue.send_mail``.

    Django's own default does not count: the call means the queue unless somebody said otherwise.
    Django's backends mean ours of the same name, which keep to the same settings and share the
    outbox. With ``MAILERS`` (Django 6.1) it is the backend of the default one.
    """
    mailers = getattr(holder, "MAILERS", None)
    if mailers is not None:
        value = mailers.get("default", {}).get("BACKEND", MISSING)
        if value == _SMTP:  # its server stands in its OPTIONS, which are not ours
            return MISSING
    if str(value).startswith(_BACKENDS):
        return str(value).replace(_BACKENDS, "mailqueue.backends.", 1)
    return value
