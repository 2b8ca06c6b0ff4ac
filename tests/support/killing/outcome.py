"""What came of a run: counted at the server, never taken from what workers say of themselves."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mailqueue import failed, schedule
from mailqueue.handles import Handle
from support.killing.fleet import CONCURRENCY
from support.killing.sink import Mail, RecordingSink


class Kill(NamedTuple):
    """A SIGKILL."""

    at: float
    pool: str
    #: The worker with all its children; else one child.
    whole: bool

    @property
    def connections(self) -> int:
        """Connections that it can have ended at the most."""
        return CONCURRENCY if self.whole else 1


class Outcome(NamedTuple):
    """The figures of a run."""

    sent: int
    kills: Sequence[Kill]
    arrived: int
    #: Ids of mail that was enqueued and is nowhere; of a run that was not finished, also of what
    #: is still on its way.
    lost: Sequence[str]
    #: Mails that did not arrive and wait for a person, or for their time.
    kept: int
    #: Acknowledgements beyond the first, of the same Message-ID for the same recipient.
    duplicates: int
    #: Of these, copies of a mail that no killed connection had sent last.
    unexplained: Sequence[Mail]
    #: Connections that broke off, which is what a killed process does to them.
    connections: int
    #: Batches that were left at the broker.
    left: int
    #: For each batch that a kill interrupted, seconds until all of it had arrived.
    recoveries: Sequence[float]
    seconds: float
    #: It was done within its limit.
    finished: bool

    @property
    def bound(self) -> int:
        """Duplicates that cannot be avoided: one for each connection that a kill ended."""
        return min(self.connections, sum(kill.connections for kill in self.kills))

    @property
    def good(self) -> bool:
        """None lost, none twice without need, and all done."""
        return (
            self.finished
            and not self.lost
            and not self.unexplained
            and not self.left
            and self.duplicates <= self.bound
        )


def mail_of(number: int, handle: Handle) -> Mail:
    """What the server sees of the mail with this number."""
    return Mail(handle.message_id, f"reader{number}@example.com")


def number_of(mail: Mail) -> int:
    """The mail's number."""
    return int(mail.recipient.removeprefix("reader").partition("@")[0])


def kept_ids() -> set[str]:
    """Mail that is neither sent nor lost."""
    return {entry.id for entry in failed.entries()} | {entry.id for entry in schedule.entries()}


def missing(handles: Iterable[Handle], sink: RecordingSink) -> list[str]:
    """Ids of mail that the server never acknowledged."""
    numbered = enumerate(handles)
    return [handle.id for n, handle in numbered if mail_of(n, handle) not in sink.taken]


def unexplained(sink: RecordingSink) -> list[Mail]:
    """Mails that were sent again although nothing kept their sender from noting that it had.

    A worker notes what was sent before it begins the next mail. So of a connection that a kill
    ended only the last mail may come again.
    """
    return [
        mail
        for mail, copies in sink.taken.items()
        for copy in copies[:-1]
        if copy.session not in sink.broken or sink.last[copy.session] != mail
    ]


def recoveries(sink: RecordingSink, kills: Sequence[Kill], batch: int, sent: int) -> list[float]:
    """For each batch that a kill interrupted, seconds until all of it had arrived.

    What a broker hands out again comes next; what is published again comes behind the backlog.
    """
    first = {number_of(mail): copies[0].at for mail, copies in sink.taken.items()}
    found = []
    for session, ended in sink.broken.items():
        killed = max((kill.at for kill in kills if kill.at <= ended), default=None)
        if killed is not None and session in sink.last:
            start = number_of(sink.last[session]) // batch * batch
            numbers = range(start, min(start + batch, sent))
            found.append(max(0.0, *(first.get(n, ended) - killed for n in numbers)))
    return found
