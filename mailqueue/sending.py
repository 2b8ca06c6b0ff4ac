"""Sending in one call, with the signatures of ``django.core.mail``."""

from collections.abc import Iterable, Sequence
from typing import Any

from mailqueue.conf import get_settings
from mailqueue.django_backends import arguments_for
from mailqueue.loading import load
from mailqueue.message import EmailMessage, EmailMultiAlternatives


def get_connection(backend: str | None = None, fail_silently: bool = False, **kwds: Any) -> Any:
    """Make a backend.

    Args:
        backend: Dotted path of its class; None means ``EMAIL_BACKEND``.
        fail_silently: Whether trouble on the way is silent.
        **kwds: What the backend's class takes besides.

    Raises:
        ConfigurationError: There is no such class.
    """
    settings = get_settings()
    setting = "backend" if backend else "EMAIL_BACKEND"
    made = load(
        backend or settings.EMAIL_BACKEND,
        setting,
        "a backend's class, like 'mailqueue.backends.smtp.EmailBackend'",
    )
    return made(**arguments_for(made, settings, {"fail_silently": fail_silently, **kwds}))


def send_mail(
    subject: Any,
    message: Any,
    from_email: Any,
    recipient_list: Sequence[Any],
    fail_silently: bool = False,
    auth_user: str | None = None,
    auth_password: str | None = None,
    connection: Any = None,
    html_message: Any = None,
) -> Any:
    """Send one mail, all recipients in its To header; returns how many mails were sent.

    Args:
        subject: The subject.
        message: The plain text.
        from_email: The sender; empty means ``DEFAULT_FROM_EMAIL``.
        recipient_list: Addresses.
        fail_silently: Whether trouble on the way is silent.
        auth_user: User for SMTP AUTH; None means the setting.
        auth_password: Password for SMTP AUTH; None means the setting.
        connection: The backend; None means ``EMAIL_BACKEND``.
        html_message: The text as HTML, sent along with the plain one.
    """
    connection = connection or get_connection(
        username=auth_user, password=auth_password, fail_silently=fail_silently
    )
    mail = EmailMultiAlternatives(
        subject, message, from_email, recipient_list, connection=connection
    )
    if html_message:
        mail.attach_alternative(html_message, "text/html")
    return mail.send()


def send_mass_mail(
    datatuple: Iterable[tuple[Any, Any, Any, Sequence[Any]]],
    fail_silently: bool = False,
    auth_user: str | None = None,
    auth_password: str | None = None,
    connection: Any = None,
) -> Any:
    """Send many mails over one connection; returns how many were sent.

    Args:
        datatuple: Tuples of subject, message, from_email and recipient_list.
        fail_silently: Whether trouble on the way is silent.
        auth_user: User for SMTP AUTH; None means the setting.
        auth_password: Password for SMTP AUTH; None means the setting.
        connection: The backend; None means ``EMAIL_BACKEND``.
    """
    connection = connection or get_connection(
        username=auth_user, password=auth_password, fail_silently=fail_silently
    )
    return connection.send_messages(
        [
            EmailMessage(subject, message, sender, recipient, connection=connection)
            for subject, message, sender, recipient in datatuple
        ]
    )


def mail_admins(
    subject: Any,
    message: Any,
    fail_silently: bool = False,
    connection: Any = None,
    html_message: Any = None,
) -> None:
    """Send a mail to the ``ADMINS``; does nothing where there are none.

    Raises:
        ValueError: The setting is not a list of pairs.
    """
    _send_to_staff("ADMINS", subject, message, html_message, fail_silently, connection)


def mail_managers(
    subject: Any,
    message: Any,
    fail_silently: bool = False,
    connection: Any = None,
    html_message: Any = None,
) -> None:
    """Send a mail to the ``MANAGERS``; does nothing where there are none.

    Raises:
        ValueError: The setting is not a list of pairs.
    """
    _send_to_staff("MANAGERS", subject, message, html_message, fail_silently, connection)


def _send_to_staff(
    setting: str, subject: Any, message: Any, html: Any, fail_silently: bool, connection: Any
) -> None:
    settings = get_settings()
    people = getattr(settings, setting)
    if not people:
        return
    if not isinstance(people, list | tuple) or not all(
        isinstance(person, list | tuple) and len(person) == 2  # noqa: PLR2004 - name and address
        for person in people
    ):
        raise ValueError(f"The {setting} setting must be a list of 2-tuples.")
    mail = EmailMultiAlternatives(
        f"{settings.EMAIL_SUBJECT_PREFIX}{subject}",
        message,
        settings.SERVER_EMAIL,
        [address for _, address in people],
        connection=connection,
    )
    if html:
        mail.attach_alternative(html, "text/html")
    mail.send(fail_silently=fail_silently)
