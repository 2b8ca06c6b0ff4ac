"""Mail that flows while something happens to those who carry it; counted where it arrives."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from mailqueue import EmailMessage, EnqueueError, enqueue, failed, ledger, schedule
from mailqueue.desk.queue_length import queue_length
from support.killing.sink import RecordingSink
from support.processes import until

#: Seconds for which nothing may be left to do before all counts as done.
_QUIET: Final = 0.5


class Load:
    """What was promised, and what came of it.

    Args:
        sink: Where it is to arrive.
        explain: What to show when it does not.
    """

    def __init__(self, sink: RecordingSink, explain: Callable[[], str]) -> None:
        self.sink = sink
        self.promised: set[str] = set()
        self._explain = explain

    def enqueue(self, count: int) -> None:
        """Enqueue mails, as soon as the broker takes them; each is one connection's work."""
        messages = [
            EmailMessage(f"News {n}", "Dear reader\n", "us@example.com", [f"reader{n}@example.com"])
            for n in range(count)
        ]

        def taken() -> bool:
            with suppress(EnqueueError):
                self.promised.update(handle.message_id for handle in enqueue(messages))
                return True
            return False

        until(taken, 30)

    @property
    def arrived(self) -> set[str]:
        return {mail.message_id for mail in list(self.sink.taken)}

    @property
    def duplicates(self) -> int:
        copies = [len(copies) for copies in list(self.sink.taken.values())]
        return sum(copies) - len(copies)

    @property
    def connections(self) -> int:
        """Connections that carried mail."""
        return len(self.sink.last)

    def until_arrived(self, count: int) -> None:
        """Wait until so many mails more have arrived; they must not be all."""
        goal = len(self.arrived) + count
        until(lambda: len(self.arrived) >= goal, 30, self._explain)
        assert self.promised - self.arrived, "too late: nothing is under way any more"

    def until_settled(self) -> None:
        """Wait until all arrived and nothing has been left to do for a while."""
        until(lambda: self.promised <= self.arrived, 60, self._told)
        quiet_since = time.monotonic()

        def quiet() -> bool:
            nonlocal quiet_since
            if _remains():
                quiet_since = time.monotonic()
            return time.monotonic() - quiet_since > _QUIET

        until(quiet, 60, lambda: (_remains(), self._explain()))
        assert self.promised == self.arrived
        assert failed.count() == 0

    def _told(self) -> str:
        return f"{len(self.promised - self.arrived)} did not arrive\n{self._explain()}"


def _remains() -> dict[str, int | str]:
    length = queue_length()
    found: dict[str, int | str] = {
        "trouble": length.trouble,
        "queue": length.batches or 0,
        "unacknowledged": length.taken or 0,
        "in flight": ledger.in_flight(),
        "scheduled": schedule.count(),
    }
    return {where: count for where, count in found.items() if count}
