"""What Flower shows of a task, in words for people.

Flower hands over a copy of each task before it shows it, in the list and on the task's page; there
is one hook for both. So what is long stands where the list has no column.

- ``args``       what the batch is: ``deliver 50 mails, 29.4 kB``
- ``kwargs``     ids of mails, as many as the producer named
- ``result``     what came of it: ``48 sent, 2 bounced``
- ``exception``  the replies, one for each mail that failed
"""

import ast
import re
from typing import Any, Final

from mailqueue.outcomes import Status
from mailqueue.privacy import without_addresses

#: As ``mailqueue.batch.describe`` writes it.
_BATCH: Final = re.compile(r"\((\d+) messages?, ([\d.]+ kB): ([0-9a-f]{32}.*)\)")
#: Outcomes of a task's mails: those that a mail can have, and two of its place in the queue.
_OUTCOMES: Final = (*(str(status) for status in Status), "waiting", "skipped")
_COUNT: Final = rf"\d+ (?:{'|'.join(_OUTCOMES)})"
_COUNTS: Final = re.compile(rf"{_COUNT}(?:, {_COUNT})*")
#: Good news first, then by what is to be done about it.
_ORDER: Final = {name: at for at, name in enumerate(("sent", "skipped", "deferred", "waiting"))}
_LAST: Final = len(_ORDER)
#: How our task ends on purpose. The traceback of such an end says nothing of a mail.
_ON_PURPOSE: Final = re.compile(r"\b(?:DeliveryError|Retry)\((['\"])(.*)\1\)\Z", re.DOTALL)
_ENDS: Final = {
    "REVOKED": "revoked; what was not sent is kept: mailqueue failed list",
    "REJECTED": "back in the queue",
}


def in_words(task: Any) -> Any:
    """Flower's ``format_task``: the task (a copy of Flower's own) with its fields in words."""
    raw = str(task.args or "")
    task.args, task.kwargs = _batch(raw)
    said = without_addresses(f"{task.exception or ''}\n{task.traceback or ''}")
    task.result = _came_to(str(task.state or ""), task.result, said)
    task.exception, task.traceback = _fault(task.exception, task.traceback)
    return task


def _batch(raw: str) -> tuple[str, str]:
    """What was to be done, and the ids; a repr that is none of ours is not repeated."""
    found = _BATCH.fullmatch(raw)
    if not found:
        return ("deliver a batch" if raw else ""), ""
    count, size, ids = found.groups()
    return f"deliver {count} mail{'' if count == '1' else 's'}, {size}", ids


def _came_to(state: str, result: object, said: str) -> str:
    counted = _from_result(result)
    if counted:
        return counted
    found = _COUNTS.search(said)
    if found and state in {"FAILURE", "RETRY"}:
        pairs = (pair.partition(" ") for pair in found[0].split(", "))
        return _listed({outcome: int(number) for number, _, outcome in pairs})
    return _ENDS.get(state, "")


def _from_result(result: object) -> str:
    """The counts of a task that succeeded; they come as the repr of a dict."""
    try:
        counts = ast.literal_eval(str(result)) if result else None
    except (ValueError, SyntaxError):
        return ""
    if not isinstance(counts, dict):
        return ""
    return _listed({str(k): v for k, v in counts.items() if isinstance(v, int)}) or "nothing to do"


def _listed(counts: dict[str, int]) -> str:
    names = sorted((n for n in counts if n in _OUTCOMES), key=lambda n: (_ORDER.get(n, _LAST), n))
    return ", ".join(f"{counts[name]:,} {name}" for name in names)


def _fault(exception: object, traceback: object) -> tuple[str | None, str | None]:
    """What went wrong: replies where the task ended on purpose, else the traceback, too."""
    text = without_addresses(str(exception)) if exception else ""
    found = _ON_PURPOSE.search(text)
    if found:
        return found[2], None
    if traceback and "celery.exceptions.Retry:" in str(traceback):
        last = str(traceback).rpartition("celery.exceptions.Retry:")[2]
        return without_addresses(" ".join(last.split())), None
    return text or None, without_addresses(str(traceback)) if traceback else None
