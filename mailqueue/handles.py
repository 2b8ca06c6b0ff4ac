"""Handles: what the caller keeps of a mail that was enqueued, to ask for it and to take it back."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from mailqueue.conf import get_settings
from mailqueue.errors import StateError
from mailqueue.outcomes import Status

_statuses: dict[str, Status] | None = None


class Handle(NamedTuple):
    """What the caller gets for an enqueued message. It is a tuple; any process may make one.

    Both methods ask the state store, and raise ``StateError`` when it does not answer; one that
    swallows packets costs ten seconds.
    """

    #: Names the mail in the queue, in logs and in Flower.
    id: str
    #: Its Message-ID header, the same in every attempt.
    message_id: str

    def status(self) -> Status:
        """Where the mail stands.

        ``QUEUED`` also where nothing is known of it: no worker has met it yet, or what came of it
        was forgotten after ``MAILQUEUE_LEDGER_TTL`` seconds.
        """
        if _statuses is not None:
            return _statuses.get(self.id, Status.QUEUED)
        # redis-py is imported where somebody asks; enqueuing needs the broker alone.
        from mailqueue.desk.standing import standing_of  # noqa: PLC0415

        with _answering():
            standing = standing_of(self.id)
        return Status.QUEUED if standing is None else standing.status

    def cancel(self) -> bool:
        """Take the mail back; True when it is cancelled now and will not be sent.

        It works until a worker has claimed the mail: while it waits for its time or for another
        attempt, and also at the broker, since a worker asks the ledger before it sends. There it
        is remembered for ``MAILQUEUE_LEDGER_TTL`` seconds.
        """
        if _statuses is not None:
            if not self.status().final:
                _statuses[self.id] = Status.CANCELLED
            return self.status() is Status.CANCELLED
        from mailqueue import ledger, routes  # noqa: PLC0415 - as above

        with _answering():
            return ledger.cancel(self.id, routes.lines()) is Status.CANCELLED


def statuses(mails: Iterable[Handle | str]) -> dict[str, Status]:
    """Where many mails stand: by id, in their order; a round trip for each five hundred.

    Args:
        mails: Handles, or the ids that you kept of them.

    Raises ``StateError`` when the state store does not answer. ``Handle.status`` says what
    ``QUEUED`` means; ``Counter(statuses(ids).values())`` is the progress of a newsletter.
    """
    ids = [mail if isinstance(mail, str) else mail.id for mail in mails]
    if _statuses is not None:
        return {id_: _statuses.get(id_, Status.QUEUED) for id_ in ids}
    from mailqueue.desk.standings import statuses_of  # noqa: PLC0415 - as above

    with _answering():
        return statuses_of(ids)


@contextmanager
def _answering() -> Iterator[None]:
    """Say in our words that the state store is away."""
    from redis.exceptions import RedisError  # noqa: PLC0415 - as above

    from mailqueue.urls import state_url, without_password  # noqa: PLC0415

    shown = without_password(state_url(get_settings()))
    try:
        yield
    except (RedisError, OSError) as error:
        reason = str(error) or type(error).__name__
        raise StateError(f"{shown}, which holds the state, does not answer: {reason}") from error


@contextmanager
def answered_by(statuses: dict[str, Status]) -> Iterator[None]:
    """Let a dict take the state store's place, for this process; see ``mailqueue.testing``."""
    global _statuses  # noqa: PLW0603 - the process has one state store, and so one stand-in
    before, _statuses = _statuses, statuses
    try:
        yield
    finally:
        _statuses = before
