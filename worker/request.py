"""What happens to a batch that never got as far as the task's own code, or broke off in it."""

from typing import Any

from billiard.exceptions import WorkerLostError
from celery.worker import request

from worker.aside import set_aside


class Request(request.Request):
    """Celery's request, which keeps the batch before Celery gives it up."""

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> None:
        """Set the body aside where the failure is not one that the task itself reported.

        That is a body that could not be decoded, and a batch whose process died again and again
        (``max_retries`` times, see ``worker.tasks``). A process that died once is simply
        replaced and the batch given to the next one.
        """
        if not return_ok:
            exc = getattr(exc_info.exception, "exc", exc_info.exception)
            retries = self._context.retries  # type: ignore[attr-defined]  # missing in its stubs
            if not isinstance(exc, WorkerLostError | SystemExit | KeyboardInterrupt):
                if isinstance(exc, ValueError | TypeError | LookupError):
                    set_aside(self._text(), f"payload not understood: {type(exc).__name__}")
            elif retries >= (self.task.max_retries or 0):
                set_aside(self._text(), f"its worker process died {retries + 1} times")
        super().on_failure(exc_info, send_failed_event, return_ok)

    def _text(self) -> Any:
        # Not ``_payload``: Celery has an attribute of this name.
        body = self.body
        return body.decode("utf-8", "backslashreplace") if isinstance(body, bytes) else body
