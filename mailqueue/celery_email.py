"""The settings of django-celery-email: which of them hold here, and what to do about the others.

Two of its settings say what two of ours do, and are taken over where ours are not set. Only what
stands in the settings module counts: while that package is installed, it adds its own defaults.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

#: Its names, and ours for the same thing.
SAME: Final = {
    "CELERY_EMAIL_BACKEND": "MAILQUEUE_DELIVERY_BACKEND",
    "CELERY_EMAIL_CHUNK_SIZE": "MAILQUEUE_BATCH_SIZE",
}
_CONFIG: Final = "CELERY_EMAIL_TASK_CONFIG"
#: Options of its task, and what does the same here.
_OPTIONS: Final = {
    "queue": (
        "set MAILQUEUE_QUEUE, to another name than this: a worker of the old kind would take our "
        "batches from a queue that both use, and drop them"
    ),
    "max_retries": "set MAILQUEUE_MAX_AGE: how long a mail is tried",
    "default_retry_delay": "set MAILQUEUE_RETRY_SCHEDULE",
    "retry_backoff": "set MAILQUEUE_RETRY_SCHEDULE",
    "priority": "give priority='high' or 'bulk' to the mails that it is meant for",
    "expires": "give expires=… to the mails that it is meant for",
}
#: What needs no counterpart: it is so here, or is about the task and not the mail.
_NEEDLESS: Final = frozenset({"ignore_result", "name", "acks_late", "serializer", "bind"})


def taken_over(settings: Any) -> dict[str, Any]:
    """Values by our names, of those of its settings that stand in Django's settings."""
    return {
        ours: getattr(settings, its)
        for its, ours in SAME.items()
        if settings.is_overridden(its) and hasattr(settings, its)
    }


def without_effect(settings: Any) -> Iterator[tuple[str, str]]:
    """Settings that change nothing here: what is said, and what to do instead."""
    for its, ours in SAME.items():
        if settings.is_overridden(its) and settings.is_overridden(ours):
            yield f"{its} has no effect beside {ours}", f"remove {its}"
    if not settings.is_overridden(_CONFIG):
        return
    config = getattr(settings, _CONFIG, None)
    if not isinstance(config, Mapping):
        return
    for name in config.keys() - _NEEDLESS:
        if name == "rate_limit":
            remedy = _limit(config[name], getattr(settings, "CELERY_EMAIL_CHUNK_SIZE", 10))
        else:
            remedy = _OPTIONS.get(str(name), "remove it; tasks are mailqueue's own")
        yield f"{_CONFIG}: {name!r} has no effect", remedy


def _limit(rate: Any, chunk: Any) -> str:
    """Celery's ``"100/m"`` counts tasks of each worker; a limit counts mails of all workers."""
    number, _, unit = str(rate).partition("/")
    unit = {"s": "s", "m": "min", "h": "h"}.get(unit or "s", "")
    try:
        mails = int(number) * int(chunk)
    except ValueError:
        unit = ""
    if not unit:
        return "write a limit into MAILQUEUE_ROUTES"
    return (
        f"write limits = ['{mails} messages/{unit}'] into route 'default' of MAILQUEUE_ROUTES; "
        f"that is {number} tasks of {chunk} mails, for all workers together"
    )
