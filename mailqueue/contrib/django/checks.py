"""System checks: what does not hold together in the settings. No server is asked."""

from typing import Any

from django.core import checks

from mailqueue.conf import get_settings
from mailqueue.contradictions import contradictions
from mailqueue.errors import MailQueueError


@checks.register("mailqueue")  # type: ignore[untyped-decorator]  # Django has no types here
def check_settings(app_configs: Any, **kwargs: Any) -> list[Any]:  # noqa: ARG001
    """Everything that ``mailqueue check`` says about settings."""
    try:
        return [
            (checks.Error if found.fatal else checks.Warning)(found.text, hint=found.remedy)
            for found in contradictions(get_settings())
        ]
    except MailQueueError as error:
        return [checks.Error(str(error), id="mailqueue.E001")]
