"""Publishing with the commit.

Which transaction: every one that is open in this thread, on whatever database. The mail goes when
the last of them is committed, and never if one of them is rolled back: it was written while all of
them were going on, and nobody can say which of them it belongs to. With one database, which is
the usual case, that is ``transaction.on_commit()`` and no more.

Mail of one transaction goes to the broker together, as far as it shares its fate: mail that was
sent in another savepoint, or before something else was put on the commit, goes on its own.
"""

from collections.abc import Sequence
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

from mailqueue.conf import get_settings
from mailqueue.enqueuing import Prepared, together
from mailqueue.handles import Handle


def publish_on_commit(prepared: Prepared, *, on_commit: bool | None = None) -> list[Handle]:
    """Publish mail when what is open is committed; at once where nothing is.

    Args:
        prepared: Mail that was checked and encoded.
        on_commit: Whether to wait; None: as ``MAILQUEUE_ON_COMMIT`` says.

    Returns the handles of what was taken, or will be offered to the broker. Raises
    ``EnqueueError`` where it is published at once; else the commit does.
    """
    if on_commit is None:
        on_commit = get_settings().MAILQUEUE_ON_COMMIT
    waiting_for = _open_transactions() if on_commit else []
    if not waiting_for:
        return prepared.publish()
    if prepared.handles:
        _wait(prepared, waiting_for)
    return prepared.handles


def _open_transactions() -> list[Any]:
    """Connections of this thread that are in an atomic block; none is opened by asking.

    A ``TestCase`` wraps each database in a transaction that is never committed. It is waited for
    only where nothing else is open, and only on the default database, as ``on_commit()`` would:
    ``captureOnCommitCallbacks()`` plays the commit of one database.
    """
    within = [one for one in connections.all(initialized_only=True) if one.in_atomic_block]
    of_the_code = [one for one in within if not all(map(_is_a_test_s, one.atomic_blocks))]
    return of_the_code or [one for one in within if one.alias == DEFAULT_DB_ALIAS]


def _is_a_test_s(block: Any) -> bool:
    return bool(getattr(block, "_from_testcase", False))


class _Member:
    """One call's mail, on the list of what a connection does after its commit."""

    def __init__(self, prepared: Prepared, group: "_Group", databases: int) -> None:
        self.prepared = prepared
        self.group = group
        self._left = databases

    def __call__(self) -> None:
        """A commit that it waited for. Raises ``EnqueueError`` where the broker is away."""
        self._left -= 1
        if self._left <= 0:
            self.group.committed(self)


class _Group:
    """Members in a row whose commits come one after the other: the last publishes for all."""

    def __init__(self) -> None:
        self.last: _Member | None = None
        self._ready: list[Prepared] = []

    def committed(self, member: _Member) -> None:
        self._ready.append(member.prepared)
        if member is self.last:
            ready, self._ready = self._ready, []
            together(ready).publish()


def _wait(prepared: Prepared, waiting_for: Sequence[Any]) -> None:
    group = _group_before(prepared, waiting_for[0]) if len(waiting_for) == 1 else None
    group = group or _Group()
    member = group.last = _Member(prepared, group, len(waiting_for))
    for connection in waiting_for:
        connection.on_commit(member)


def _group_before(prepared: Prepared, connection: Any) -> _Group | None:
    """The group of the mail just before, where it is sure to share this one's fate.

    That is: nothing stands between them, and a rollback takes both or none.
    """
    if not connection.run_on_commit:
        return None
    savepoints, function = connection.run_on_commit[-1][:2]
    if (
        isinstance(function, _Member)
        and function.prepared.fail_silently == prepared.fail_silently
        and savepoints == set(connection.savepoint_ids)
    ):
        return function.group
    return None
