"""``enqueue()`` for Django: handles at once, the mail with the commit."""

from collections.abc import Iterable
from typing import Any

from mailqueue.contrib.django.committing import publish_on_commit
from mailqueue.enqueuing import prepare
from mailqueue.handles import Handle


def enqueue(
    messages: Any | Iterable[Any], *, on_commit: bool | None = None, **options: Any
) -> list[Handle]:
    """Do what ``mailqueue.enqueue`` does, when the transaction that is open is committed.

    Args:
        messages: One message or an iterable of them. They are checked and encoded now.
        on_commit: Whether to wait for the commit; None: as ``MAILQUEUE_ON_COMMIT`` says.
        **options: Those of ``mailqueue.enqueue``. ``delay`` and ``expires`` count from now.

    Returns a handle for each message at once. Until the commit, and for ever after a rollback,
    its mail counts as queued; cancelled before the commit, it will not be sent.

    Raises what ``mailqueue.enqueue`` does; after a commit it is the commit that raises
    ``EnqueueError``, unless ``fail_silently`` is among the options.
    """
    return publish_on_commit(prepare(messages, **options), on_commit=on_commit)
