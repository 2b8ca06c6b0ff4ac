"""What happens to a batch that never got as far as the task's own code, or broke off in it.

And what is told of it: Celery's requests answer ``inspect reserved`` with their arguments, which
here is mail.
"""

import logging
import re
import time
from typing import Any, Final

from billiard.exceptions import WorkerLostError
from celery.exceptions import Retry
from celery.worker import request
from celery.worker.state import task_ready
from redis.exceptions import RedisError

from mailqueue.errors import DeliveryError
from worker.aside import set_aside
from worker.revoked import keep_revoked

logger = logging.getLogger("mailqueue.worker")

#: Words of ``mailqueue.batch.describe`` and nothing else: a producer that is not ours may have
#: left the repr to Celery, which quotes the mail.
_OUR_WORD: Final = re.compile(r"\d+(?:\.\d+)?|[0-9a-f]{32}|messages?|kB|and|more")
_BETWEEN: Final = re.compile(r"[ ,:]+")
_NOT_SHOWN: Final = "(not shown)"
#: Seconds until a batch is looked at again that could not be kept.
_PAUSE: Final = 1.0


def discreet(argsrepr: str) -> str:
    """What may be shown of a task's arguments: what we say of a batch, nothing that others do."""
    # Word by word: one pattern for all would try each way to cut each id into numbers.
    words = _BETWEEN.split(argsrepr[1:-1])
    ours = argsrepr[:1] == "(" and argsrepr[-1:] == ")" and all(map(_OUR_WORD.fullmatch, words))
    return argsrepr if ours else _NOT_SHOWN


_Base: Any = request.Request  # its stubs lack most of it


class Request(_Base):  # type: ignore[misc]  # see _Base
    """Celery's request, which keeps the batch before Celery gives it up, and shows none of it."""

    #: Somebody asked to terminate it …
    _to_terminate = False
    #: … which is being done this moment.
    _terminating = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._argsrepr = discreet(str(self._request_dict.get("argsrepr") or ""))
        self._kwargsrepr = "{}"
        self._request_dict |= {"argsrepr": self._argsrepr, "kwargsrepr": self._kwargsrepr}

    def info(self, safe: bool = False) -> Any:
        """What ``inspect active``, ``reserved``, ``scheduled`` and ``query_task`` answer.

        Never with the arguments themselves, whoever asks.
        """
        del safe
        return super().info(safe=True)

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> None:
        """Set the body aside where the failure is not one that the task itself reported.

        That is a body that could not be decoded, and a batch whose process died again and again
        (``max_retries`` times, see ``worker.tasks``). A process that died once is simply
        replaced and the batch given to the next one.
        """
        # Of an error that travelled with its traceback; a Retry has such an attribute, too, empty.
        exc = getattr(exc_info.exception, "exc", None) or exc_info.exception
        if self._to_terminate and isinstance(exc, Retry | DeliveryError):
            # Its process obeyed, after the mail at hand, and put the rest back.
            self._announce_revoked("terminated", True, None, False)
            return
        if not return_ok:
            retries = self._context.retries
            if not isinstance(exc, WorkerLostError | SystemExit | KeyboardInterrupt):
                if isinstance(exc, ValueError | TypeError | LookupError):
                    set_aside(self._text(), f"payload not understood: {type(exc).__name__}")
            elif retries >= (self.task.max_retries or 0):
                set_aside(self._text(), f"its worker process died {retries + 1} times")
        super().on_failure(exc_info, send_failed_event, return_ok)

    def terminate(self, pool: Any, signal: Any = None) -> None:
        """Send the signal. What it comes to is seen when the process has ended, in ``on_failure``.

        Celery acknowledges at once, while the process is still sending.
        """
        self._terminating = self._to_terminate = True
        try:
            super().terminate(pool, signal)
        finally:
            self._terminating = False

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:
        """Keep the batch, then let Celery say that it is revoked, and acknowledge it."""
        if self._terminating:
            return
        what = f"its batch was {reason}" + ("" if expired else " by remote control")
        try:
            keep_revoked(self.args[0] if self.args else self.args, what, begun=self._to_terminate)
        except RedisError as error:
            logger.error("a revoked batch goes back: the state store is away (%s)", error)  # noqa: TRY400
            time.sleep(_PAUSE)
            task_ready(self)
            self._already_revoked = True
            self.reject(requeue=True)
            return
        super()._announce_revoked(reason, terminated, signum, expired)

    def _text(self) -> Any:
        # Not ``_payload``: Celery has an attribute of this name.
        body = self.body
        return body.decode("utf-8", "backslashreplace") if isinstance(body, bytes) else body
