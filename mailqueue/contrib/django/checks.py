"""System checks: what does not hold together in the settings. No server is asked.

Ids are ``mailqueue.E…`` for what keeps a worker from starting, ``mailqueue.W…`` for the rest.
"""

from collections.abc import Iterator
from typing import Any, Final

from django.conf import settings
from django.core import checks, mail
from django.core.exceptions import ImproperlyConfigured

from mailqueue import celery_email
from mailqueue.conf import get_settings
from mailqueue.contradictions import Contradiction, contradictions
from mailqueue.errors import MailQueueError
from mailqueue.routing.arguments import QUEUES

_OURS: Final = "mailqueue.contrib.django.EmailBackend"
_DJANGOS: Final = "django.core.mail.backends.smtp.EmailBackend"
#: Numbers of contradictions; the others are said as they are.
_EMBEDDED, _NO_QUEUE = 3, 5


@checks.register("mailqueue")  # type: ignore[untyped-decorator]  # Django has no types here
def check_settings(app_configs: Any, **kwargs: Any) -> list[Any]:  # noqa: ARG001 - Django's
    """What ``mailqueue check`` says about settings, and what only Django's settings can say."""
    try:
        found = [one for one in contradictions(get_settings()) if one.number != _EMBEDDED]
    except MailQueueError as error:
        return [checks.Error(str(error), id="mailqueue.E001")]
    told = [one for one in found if one.number != _NO_QUEUE]
    return [_message(one) for one in (*told, *_sending(), *_options(), *_left_over())]


@checks.register("mailqueue", deploy=True)  # type: ignore[untyped-decorator]
def check_deployment(app_configs: Any, **kwargs: Any) -> list[Any]:  # noqa: ARG001 - Django's
    """What is fine while developing."""
    try:
        found = list(contradictions(get_settings()))
    except MailQueueError:
        return []  # told by the other one
    return [_message(one) for one in found if one.number == _EMBEDDED]


def _message(found: Contradiction) -> Any:
    kind, letter = (checks.Error, "E") if found.fatal else (checks.Warning, "W")
    return kind(found.text, hint=found.remedy, id=f"mailqueue.{letter}{found.number:03}")


def _sending() -> Iterator[Contradiction]:
    """Whether ``django.core.mail`` uses the queue; tests have Django's locmem in its place."""
    mailers = getattr(settings, "MAILERS", None)
    if mailers is None:
        # Behind the proxy, which warns of this name from Django 6.1 on.
        what, used = "EMAIL_BACKEND", [settings._wrapped.EMAIL_BACKEND]  # noqa: SLF001
        remedy = f"set it to {_OURS!r}"
    else:
        what, used = "MAILERS", [one.get("BACKEND", _DJANGOS) for one in mailers.values()]
        remedy = f"give one of them BACKEND {_OURS!r}"
    if used and not any(one in QUEUES or ".locmem." in one for one in used):
        shown = ", ".join(sorted(set(used)))
        yield Contradiction(
            f"{what} names {shown}: django.core.mail does not use the queue",
            remedy,
            number=_NO_QUEUE,
        )


def _options() -> Iterator[Contradiction]:
    """Mailers (Django 6.1) that would fail with the first mail. Making one opens nothing."""
    for alias, mailer in getattr(settings, "MAILERS", {}).items():
        if mailer.get("BACKEND") not in QUEUES:
            continue
        try:
            mail.mailers[alias]
        except (ValueError, TypeError, ImproperlyConfigured) as error:
            yield Contradiction(
                f"MAILERS, {alias!r}: {error}", "correct its OPTIONS", fatal=True, number=16
            )


def _left_over() -> Iterator[Contradiction]:
    for text, remedy in celery_email.without_effect(settings._wrapped):  # noqa: SLF001
        yield Contradiction(text, remedy, number=17)
