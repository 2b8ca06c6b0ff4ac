"""The application for ``INSTALLED_APPS``: brings the command and the system checks."""

from django.apps import AppConfig


class MailqueueConfig(AppConfig):  # type: ignore[misc]  # Django has no types here
    """``"mailqueue.contrib.django"`` in ``INSTALLED_APPS``. It has no models."""

    name = "mailqueue.contrib.django"
    label = "mailqueue"
    verbose_name = "mailqueue"

    def ready(self) -> None:
        """Register the checks."""
        import mailqueue.contrib.django.checks  # noqa: F401, PLC0415 - importing registers
