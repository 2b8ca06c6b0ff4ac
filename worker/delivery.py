"""One batch over one connection, which is opened again where the server closed it.

Three things can happen to the connection itself, and none is a message's fault:

- it breaks, or the server has had enough of it, after it has served: the message at hand is tried
  again at once on a new one, and the batch goes on;
- a new one breaks at its first message: that message is put off, for it may be the cause; if the
  next one fares alike it was not, and the rest of the batch waits;
- it cannot be opened: the rest of the batch waits.
"""

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol

from mailqueue.addresses import envelope_address
from mailqueue.conversion import is_for_django, to_django
from mailqueue.envelope import Envelope
from mailqueue.intake import check_message
from mailqueue.narrowing import asks_for_recipients, check_sends_mime, narrow_fields
from mailqueue.outcomes import Attempt, Fault, Stage
from mailqueue.raw import RawMessage
from mailqueue.unpacking import unpack_message
from worker.faults import attempt_of, attempt_of_count, fault_of_open
from worker.judging import Judgement

#: New connections in a row that break at their first message, before the batch is left for later.
_LOSSES: Final = 2
#: Not logged in, or not any more (RFC 4954, section 6).
_LOGIN_NEEDED: Final = frozenset({530, 535})


class Clerk(Protocol):
    """Who keeps the books: see ``worker.clerk``."""

    def begin(self, envelope: Envelope) -> bool:
        """Note that a message is handed over from now on; False where it must not be."""

    def judge(self, envelope: Envelope, attempt: Attempt, recipients: Sequence[str]) -> Judgement:
        """Decide what becomes of it."""

    def settle(self, envelope: Envelope, judgement: Judgement, following: str = "") -> None:
        """Act on it, for good; and begin the following message."""

    def admit(self, envelope: Envelope, recipients: Sequence[str]) -> bool:
        """Ask the limits; False where it waits in a line from now on, and is settled by that."""


Withheld = tuple[tuple[str, Fault], ...]


class _Taken(NamedTuple):
    """A message that the backend has asked for."""

    envelope: Envelope
    #: All that it is for, those from whom it is withheld included.
    recipients: list[str]
    withheld: Withheld
    #: Those in whose place another one gets it, and who that is (``MAILQUEUE_REDIRECT_ALL_TO``).
    replaced: Sequence[str] = ()
    instead: str = ""

    def refused(self, reported: Withheld) -> Withheld:
        """Who does not get it. Nobody wrote to a substitute: without him, those others miss it."""
        meant = [
            (who, fault)
            for address, fault in reported
            for who in (self.replaced if self.replaced and address == self.instead else [address])
        ]
        return (*meant, *self.withheld)


def _as_it_is(message: Any) -> Withheld:
    del message
    return ()


class Delivery:
    """Sends a batch.

    Args:
        envelopes: Claimed, and due.
        connect: Makes the delivery backend; any class with Django's interface.
        clerk: Is told of every message before and after.
        budget: Seconds after which no further message is begun.
        stopped: True when the worker is told to stop and no further message may be begun.
        prepare: Changes a message before it is handed over (``mailqueue.staging``); returns
            recipients who do not get it, each with the reason.
        per_connection: Messages after which a connection is opened anew.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        envelopes: Iterable[Envelope],
        connect: Callable[[], Any],
        clerk: Clerk,
        *,
        budget: float,
        stopped: Callable[[], bool] = lambda: False,
        prepare: Callable[[Any], Withheld] = _as_it_is,
        per_connection: int = sys.maxsize,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        #: What is not settled yet.
        self.waiting = deque(envelopes)
        self._connect = connect
        self._clerk = clerk
        self._prepare = prepare
        self._per_connection = per_connection
        self._clock = clock
        self._stop_at = clock() + budget
        self._stopped = stopped
        self._backend: Any = None
        self._losses = 0

    def run(self) -> Fault | None:
        """Send until all is settled, time is up, or something stands in the way of the rest.

        Returns what stands in the way, where that is the connection.
        """
        while self.waiting and self._may_go_on():
            try:
                fault = self._open() or self._over_one_connection()
            finally:
                self._close()
            if fault is not None:
                return fault
        return None

    def _may_go_on(self) -> bool:
        return self._clock() < self._stop_at and not self._stopped()

    def _open(self) -> Fault | None:
        try:
            self._backend = self._connect()
            # open() returns False where it was open, and None where it failed in silence.
            self._backend.open()
        except Exception as error:  # noqa: BLE001 - a backend may raise anything
            return fault_of_open(error)
        return None

    def _over_one_connection(self) -> Fault | None:
        progress = False
        taken: deque[_Taken] = deque()
        for reported in _attempts(self._backend, self._messages(taken)):
            one = taken.popleft()
            envelope, recipients = one.envelope, one.recipients
            attempt = reported._replace(refused=one.refused(reported.refused))
            if progress:
                attempt = _of_the_session(attempt)
            judgement = self._clerk.judge(envelope, attempt, recipients)
            if judgement.untouched and progress:
                self._put_in_front(envelope, taken)
                self._losses = 0
                return None
            keep = judgement.connection == "keep"
            goes_on = keep and not self._stopped()
            following = self.waiting[0].id if goes_on and self.waiting and not taken else ""
            self._clerk.settle(envelope, judgement, following)
            if keep:
                progress, self._losses = True, 0
                continue
            self._put_in_front(None, taken)
            if judgement.connection == "stop":
                return judgement.groups[0].fault
            self._losses += not progress
            return judgement.groups[0].fault if self._losses >= _LOSSES else None
        self._put_in_front(None, taken)
        return None

    def _put_in_front(self, envelope: Envelope | None, taken: "deque[_Taken]") -> None:
        """What was taken and not answered is as good as new."""
        again = [envelope] if envelope else []
        again += [one.envelope for one in taken]
        self.waiting.extendleft(reversed(again))

    def _messages(self, taken: "deque[_Taken]") -> Iterator[Any]:
        """Rebuild one message after the other, each when the backend asks for it."""
        count = 0
        while self.waiting and self._may_go_on() and count < self._per_connection:
            envelope = self.waiting[0]
            try:
                message: Any = unpack_message(envelope)
                if not asks_for_recipients(self._backend):
                    narrow_fields(message)
                if isinstance(message, RawMessage):
                    check_sends_mime(self._backend)
                meant = _addresses(message)
                withheld = self._prepare(message)
                check_message(message)
                recipients = _addresses(message)
                if is_for_django(self._backend):
                    message = to_django(message)
            except Exception as error:  # noqa: BLE001 - a payload is as untrusted as any input
                self._settle_unsent(envelope, Attempt(None, fault=_unbuilt(error)), [])
                continue
            everyone = [*recipients, *(who for who, _ in withheld)]
            # Where nobody is withheld, whoever is missing is replaced, by the last one.
            replaced = [] if withheld else [who for who in meant if who not in recipients]
            if replaced:
                everyone = meant
            if withheld and not recipients:
                self._settle_unsent(envelope, Attempt(None, refused=withheld), everyone)
                continue
            self.waiting.popleft()
            if self._clerk.admit(envelope, recipients) and self._clerk.begin(envelope):
                count += 1
                instead = recipients[-1] if replaced else ""
                taken.append(_Taken(envelope, everyone, withheld, replaced, instead))
                yield message

    def _settle_unsent(
        self, envelope: Envelope, attempt: Attempt, recipients: Sequence[str]
    ) -> None:
        self.waiting.popleft()
        self._clerk.settle(envelope, self._clerk.judge(envelope, attempt, recipients))

    def _close(self) -> None:
        backend, self._backend = self._backend, None
        if backend is not None:
            # Outcomes are known by now; a bad goodbye changes none of them.
            with contextlib.suppress(Exception):
                backend.close()


def _attempts(backend: Any, messages: Iterator[Any]) -> Iterator[Attempt]:
    """Let the backend report by itself where it can; else give it one message at a time."""
    if hasattr(backend, "deliver_messages"):
        yield from backend.deliver_messages(messages)
        return
    for message in messages:
        try:
            count = backend.send_messages([message])
        except Exception as error:  # noqa: BLE001 - judged, never swallowed
            yield attempt_of(message, error)
        else:
            yield attempt_of_count(message, count, backend)


def _of_the_session(attempt: Attempt) -> Attempt:
    """Of a session that has served: when its login ends, as with a token's time, so does it.

    Whether the account is let in no more, a new connection will tell.
    """
    fault = attempt.fault
    if fault is None or not fault.lost or fault.code not in _LOGIN_NEEDED:
        return attempt
    return attempt._replace(fault=fault._replace(code=0))


def _unbuilt(error: Exception) -> Fault:
    return Fault.of_error(Stage.BUILD, error)


def _addresses(message: Any) -> list[str]:
    """Recipients as they are said to a server, which is how refusals name them."""
    found = [str(recipient) for recipient in message.recipients()]
    with contextlib.suppress(ValueError):
        return [envelope_address(recipient) for recipient in found]
    return found
