"""Where many mails stand, asked in one round trip for each five hundred of them."""

from collections.abc import Sequence
from typing import Any, Final

from mailqueue.desk.standing import WAITS, standing_of
from mailqueue.outcomes import Status
from mailqueue.state import get_state, key

_CHUNK: Final = 500


def statuses_of(ids: Sequence[str]) -> dict[str, Status]:
    """The status of each mail, as ``standing_of`` tells it; ``QUEUED`` where nothing is known.

    Raises what redis-py raises.
    """
    found: dict[str, Status] = {}
    for at in range(0, len(ids), _CHUNK):
        found |= _look_up(ids[at : at + _CHUNK])
    return found


def _look_up(ids: Sequence[str]) -> dict[str, Status]:
    pipe: Any = get_state().pipeline(transaction=False)
    # The places in the order that ``standing_of`` has its reasons for.
    for id_ in ids:
        pipe.hget(key("mail", id_), "s")
    for place in ("documents", "failed"):
        for id_ in ids:
            pipe.hexists(key(place), id_)
    answers = pipe.execute()
    words, waiting, kept = (answers[at : at + len(ids)] for at in range(0, len(answers), len(ids)))
    return {
        id_: _status(id_, word, waits=bool(waits), keeps=bool(keeps))
        for id_, word, waits, keeps in zip(ids, words, waiting, kept, strict=True)
    }


def _status(id_: str, word: bytes | None, *, waits: bool, keeps: bool) -> Status:
    if word is not None:
        status = Status(word.decode())
        return Status.QUEUED if status in WAITS and not waits else status
    # Without a record the mail itself tells more: so few are so old that each may be asked for.
    standing = standing_of(id_) if waits or keeps else None
    return standing.status if standing else Status.QUEUED
