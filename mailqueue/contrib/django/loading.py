"""Setting Django up, in a process that is not Django's own: a worker, the command line."""

import os
import sys

import django
from django.apps import apps
from django.core.exceptions import AppRegistryNotReady, ImproperlyConfigured

from mailqueue.errors import ConfigurationError


def set_up() -> None:
    """Load the settings that ``DJANGO_SETTINGS_MODULE`` names, and the applications.

    The working directory is searched for them, last, as it would be by ``manage.py``.

    Raises ``ConfigurationError`` where they cannot be loaded.
    """
    if apps.ready:
        return
    if "" not in sys.path and os.getcwd() not in sys.path:  # noqa: PTH109 - as sys.path has it
        sys.path.append(os.getcwd())  # noqa: PTH109
    try:
        django.setup()
    except (ImportError, ImproperlyConfigured, AppRegistryNotReady) as error:
        raise ConfigurationError(
            f"Django's settings {os.environ.get('DJANGO_SETTINGS_MODULE')!r} "
            f"(DJANGO_SETTINGS_MODULE) cannot be loaded: {error}; correct them, start in the "
            "project's directory, or unset it"
        ) from error
