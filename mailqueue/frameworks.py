"""Django in processes that are ours, the worker and the command line: loaded where it is named."""

import os
from importlib import import_module
from importlib.util import find_spec

from mailqueue.errors import ConfigurationError


def load_django() -> None:
    """Set Django up where ``DJANGO_SETTINGS_MODULE`` is set, so that its settings hold.

    Raises ``ConfigurationError`` where Django is not installed, or its settings cannot be loaded.
    """
    named = os.environ.get("DJANGO_SETTINGS_MODULE")
    if not named:
        return
    if find_spec("django") is None:
        raise ConfigurationError(
            f"DJANGO_SETTINGS_MODULE is set ({named!r}), and Django is not installed here; "
            "pip install 'mailqueue[django]', or unset it"
        )
    # By name: the library does not import what stands on it, nor Django.
    import_module("mailqueue.contrib.django.loading").set_up()
