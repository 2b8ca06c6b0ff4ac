"""Told to stop: what has begun is finished, the rest is handed back, and time is bounded.

The main process gets the signal; the batches may be in its children. So the moment by which they
have to end stands in memory that is shared with them, made before they are forked.

A child that is sent SIGTERM itself, because somebody stops the whole process group, or revokes its
task, or because the worker is told to quit (SIGQUIT), ends likewise: after the mail at hand.
Breaking that off would leave it unknown whether it was sent.
"""

import mmap
import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from celery.signals import worker_process_init, worker_shutting_down

from mailqueue.conf import get_settings

#: Seconds for which a state store that is away is waited for beyond the time for stopping, at the
#: least; else as long again. What was sent and cannot be recorded would be sent again.
_LAST_PATIENCE: Final = 5.0
#: Seconds between two looks whether a process that was told to end has nothing to do.
_LOOK: Final = 0.001
#: What a process of the pool is in while it waits for a task; its last result is on its way.
_WAITING: Final = "Worker._make_protected_receive.<locals>.receive"

#: One double, by the machine's monotonic clock: when to stop; 0.0: nobody wants it.
_shared: Final = mmap.mmap(-1, 8)
_stop_at: Final = struct.Struct("d")
_MAIN: Final = os.getpid()


class _Child:
    """What one process of the pool knows of itself."""

    is_one = False
    told = False


def request_stop(seconds: float) -> None:
    """Tell all processes of this worker to begin no mail later than in so many seconds."""
    # A second signal may shorten the time, and never gives more of it.
    at = time.monotonic() + seconds
    before = _when()
    _stop_at.pack_into(_shared, 0, min(at, before) if before else at)


def withdraw() -> None:
    """Nobody wants to stop any more; for tests."""
    _stop_at.pack_into(_shared, 0, 0.0)
    _Child.told = False


def is_requested() -> bool:
    """Whether this worker is told to stop, be it in a while."""
    return _Child.told or bool(_when())


def is_over() -> bool:
    """Whether no further mail may be begun."""
    return _is_past(0.0)


def no_more_patience() -> bool:
    """Whether even a state store that is away is not waited for any longer."""
    return _is_past(max(_LAST_PATIENCE, get_settings().MAILQUEUE_STOP_TIMEOUT))


def _is_past(seconds: float) -> bool:
    at = _when()
    return (_Child.told and not seconds) or bool(at and time.monotonic() >= at + seconds)


def _when() -> float:
    at: float = _stop_at.unpack_from(_shared, 0)[0]
    return at


@contextmanager
def finishing_the_mail_at_hand() -> Iterator[None]:
    """Within the block, SIGTERM to a process of the pool lets the mail at hand be finished.

    Its process ends after the block.
    """
    if not _Child.is_one or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _note)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if _Child.told:
            threading.Thread(target=_part, name="mailqueue-parting", daemon=True).start()


def _part() -> None:
    """End this process as soon as it waits: before, its result would be lost with it."""
    main = threading.main_thread().ident or 0
    while not _is_waiting(sys._current_frames().get(main)):  # noqa: SLF001 - no public way
        time.sleep(_LOOK)
    os.kill(os.getpid(), signal.SIGTERM)


def _is_waiting(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_qualname == _WAITING:
            return True
        frame = frame.f_back
    return False


def _note(number: int, frame: Any) -> None:
    del number, frame
    _Child.told = True


@worker_process_init.connect
def _in_a_child(**_: Any) -> None:
    # The solo pool says so, too, of the main process.
    _Child.is_one = os.getpid() != _MAIN


@worker_shutting_down.connect
def _in_the_main_process(how: str = "", **_: Any) -> None:
    request_stop(get_settings().MAILQUEUE_STOP_TIMEOUT if how == "Warm" else 0.0)
