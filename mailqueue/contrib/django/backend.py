"""The backend for ``EMAIL_BACKEND``, and from Django 6.1 on for ``MAILERS``."""

from collections.abc import Collection, Iterable
from inspect import signature
from typing import Any, Final, NoReturn

from django.core import mail
from django.core.exceptions import ImproperlyConfigured

from mailqueue.backends.queue import EmailBackend as QueueBackend
from mailqueue.contrib.django.committing import publish_on_commit
from mailqueue.enqueuing import prepare
from mailqueue.handles import Handle
from mailqueue.options import read_options

_OPTIONS: Final = frozenset(signature(read_options).parameters)


class EmailBackend(QueueBackend):
    """Enqueues when the transaction that is open is committed; at once where none is.

    Mail is checked and encoded when it is sent, so what is wrong with it is raised there, and a
    later change of the message changes nothing. It takes the options of
    ``mailqueue.backends.queue.EmailBackend``.

    Args:
        fail_silently: Whether a broker that does not take the mail is silent.
        on_commit: Whether to wait for the commit; None: as ``MAILQUEUE_ON_COMMIT`` says.
        alias: The mailer's name, which Django 6.1 gives; then an option that does not exist is an
            error of Django's (``InvalidMailer``).
        _ignore_unknown_kwargs: Names that come from an older call; Django 6.1 gives it.
        **options: See above. Without an alias, what is no option is ignored.
    """

    def __init__(
        self,
        fail_silently: bool = False,
        *,
        on_commit: bool | None = None,
        alias: str | None = None,
        _ignore_unknown_kwargs: Collection[str] = (),
        **options: Any,
    ) -> None:
        self.alias = alias
        self._on_commit = on_commit
        if alias is not None:
            self._check_names(options.keys() - set(_ignore_unknown_kwargs))
        super().__init__(fail_silently, **options)

    def _check_names(self, names: Collection[str]) -> None:
        if "idempotency_key" in names:
            # Each call makes the mailer anew: all mail would be taken for the first one.
            self._refuse(
                "'idempotency_key' is of one call, not of a mailer; "
                "give it to mailqueue.contrib.django.enqueue()"
            )
        unknown = sorted(set(names) - _OPTIONS)
        if unknown:
            known = ", ".join(
                sorted(_OPTIONS - {"idempotency_key"} | {"fail_silently", "on_commit"})
            )
            self._refuse(
                f"Unknown options {', '.join(map(repr, unknown))}; there are {known}. "
                "Server and login are the worker's: see MAILQUEUE_ROUTES"
            )

    def _refuse(self, text: str) -> NoReturn:
        invalid = getattr(mail, "InvalidMailer", None)
        if invalid is None:  # before Django 6.1
            raise ImproperlyConfigured(text)
        raise invalid(f"{text}.", alias=self.alias)

    def _enqueue(self, messages: Iterable[Any], options: dict[str, Any]) -> list[Handle]:
        prepared = prepare(messages, fail_silently=self.fail_silently, **options)
        return publish_on_commit(prepared, on_commit=self._on_commit)
