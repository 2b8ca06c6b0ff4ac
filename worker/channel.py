"""Taking messages from Redis so that none is lost on the way.

kombu's own channel pops a message and notes it as unacknowledged afterwards; killed in between, it
loses it. Here one script does both (``lua/pop.lua``). A script cannot wait, so the channel goes
through two states on its polling connection:

    pop    nothing found: wait. A message: deliver it, pop again.
    wait   BLMOVE of a list onto itself, which moves nothing and answers when there is something.

Each priority has a list; ``priorities.py`` says in which order the script looks at them.

Several workers may be woken by one message; all but one find nothing and wait again. kombu's
poller knows the outstanding command as BRPOP, whichever of the two it is.
"""

import logging
from queue import Empty
from time import monotonic
from typing import Any, Final

from kombu.transport import redis
from kombu.utils.uuid import uuid
from redis.exceptions import OutOfMemoryError, RedisError

from worker.aside import set_aside
from worker.priorities import Turns
from worker.qos import QoS, script
from worker.reading import NotAMessageError, read

_Base: Any = redis.Channel  # its stubs lack most of it

logger = logging.getLogger("mailqueue.worker")

#: Seconds until all lists are looked at when there are several: the wait is for the most urgent
#: one alone, so that its mail is taken at once. Waiting for all would take the message from them.
_GLANCE: Final = 0.2


class Channel(_Base):  # type: ignore[misc]  # see _Base
    """A channel that pops and notes in one step, and sets aside what is no message."""

    QoS = QoS

    def __init__(self, connection: Any, **kwargs: Any) -> None:
        #: The tag of the next message. It changes only when that has arrived: should an answer
        #: be lost, asking again under the same tag brings the same message.
        self.next_tag: str = uuid()
        self._waiting = False
        self._full = False
        self._pop_text = script("pop")
        super().__init__(connection, **kwargs)
        self._queue_cycle = Turns()
        #: For scripts. It outlives ``close()``: a task that goes on is acknowledged through it.
        self.runner: Any = self._create_client()

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Send the next command on the polling connection."""
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        lists = [self._q_for_pri(queue, pri) for pri in self.priority_steps for queue in queues]
        if not self._waiting:
            # With its text, not its digest: no second path for a server that was restarted.
            keys = [self.unacked_key, self.unacked_index_key, *lists]
            command = ["EVAL", self._pop_text, len(keys), *keys, self.next_tag]
        else:
            seconds = timeout or self.brpop_timeout if len(lists) == 1 else _GLANCE
            first = self._q_for_pri(self._queue_cycle.first, self.priority_steps[0])
            command = ["BLMOVE", first, first, "RIGHT", "RIGHT", seconds]
            if self._full:
                # A server that is full refuses BLMOVE. Nothing is ever in this list: a pause.
                command = ["BRPOP", f"{first}:nothing", _GLANCE]
        self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        self.client.connection.send_command(*command)

    def _brpop_read(self, **options: Any) -> bool:
        """Read the answer to that command; deliver the message, if it is one."""
        try:
            found = self._answer(**options)
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()
        waited, self._waiting = self._waiting, False
        if waited:
            raise Empty
        if not found:
            self._waiting = True
            raise Empty
        tag, self.next_tag = self.next_tag, uuid()
        queue = found[0].decode().rsplit(self.sep, 1)[0]
        self._queue_cycle.rotate(queue)
        message = self._message(found[1], tag)
        if message is not None:
            self.connection._deliver(message, queue)  # noqa: SLF001 - how kombu's channels do it
            if not self.qos.has(tag):  # its consumer does not acknowledge
                self.qos.forget(tag)
        return True

    def _answer(self, **options: Any) -> Any:
        connection = self.client.connection
        command = "BLMOVE" if self._waiting else "EVAL"
        try:
            found = self.client.parse_response(connection, command, **options)
        except OutOfMemoryError:
            if not self._waiting:
                raise
            self._full = True
            return None
        except self.connection_errors:
            # The poller connects again on its next round.
            connection.disconnect()
            raise
        if self._waiting:
            self._full = False
        return found

    def _message(self, raw: bytes, tag: str) -> dict[str, Any] | None:
        """The message under its tag; None where it was none and is set aside."""
        try:
            message = read(raw)
        except NotAMessageError as fault:
            try:
                set_aside(raw, str(fault))
            except (RedisError, OSError) as error:
                # It stays unacknowledged and, its lease not being renewed, comes again.
                logger.error("could not be set aside (%s): %s", type(error).__name__, fault)  # noqa: TRY400
            else:
                self.qos.forget(tag)
            return None
        message["properties"]["delivery_tag"] = tag
        return message

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        """Take a message without waiting."""
        del timeout
        lists = [self._q_for_pri(queue, pri) for pri in self.priority_steps]
        while True:
            tag = uuid()
            found = self.qos.pop(tag, lists)
            self._maybe_update_queues_expire(self.runner, queue)
            if not found:
                raise Empty
            message = self._message(found[1], tag)
            if message is not None:
                return message

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> Any:
        """Take a message without waiting, or None."""
        message = super().basic_get(queue, no_ack=no_ack, **kwargs)
        if message is not None and no_ack:
            self.qos.forget(message.delivery_tag)
        return message

    def _restore(self, message: Any, leftmost: bool = False) -> None:
        self.qos.restore_by_tag(message.delivery_tag, leftmost=leftmost)

    def _basic_cancel(self, consumer_tag: str) -> Any:
        done = super()._basic_cancel(consumer_tag)
        if not self.active_queues:
            # A worker that is told to stop finishes its tasks first, and reads no more meanwhile.
            self._return_outstanding()
        return done

    def close(self) -> None:
        """Close the channel and give back what was not begun."""
        self._return_outstanding()
        # What is left is the wait, which takes nothing. kombu would read its answer.
        self._in_poll = None
        super().close()

    def _return_outstanding(self) -> None:
        """Give back what an outstanding pop may have taken."""
        if not self._in_poll or self._waiting:
            return
        try:
            self._answer()
            self.qos.restore_by_tag(self.next_tag)
        except (*self.connection_errors, self.ResponseError) as error:
            # Its lease is not renewed, so it comes back a little later.
            logger.debug("an outstanding pop was not returned (%s)", type(error).__name__)
        self._in_poll = None
        self.next_tag = uuid()
