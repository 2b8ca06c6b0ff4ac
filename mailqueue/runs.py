"""Runs: one task's work on its batch, by a name that tells where it is done.

The name holds the batch's size, and which process works on it. A worker that meets the claim of a
dead run has to wait for that run's lease to end, since it cannot tell dead from slow; unless both
live on one machine, where the kernel knows.
"""

import os
import platform
import uuid
from functools import cache
from pathlib import Path


def new_run(messages: int) -> str:
    """Name a run that works on so many messages, in this process."""
    return f"{_here()}/{os.getpid()}/{uuid.uuid4().hex[:12]}/{messages}"


def messages_of(run: str) -> int:
    """How many messages a run works on."""
    return int(run.rpartition("/")[2])


def is_surely_dead(run: str) -> bool:
    """True where the run's process is gone; False where it lives, or nobody here can know."""
    where, _, rest = run.rpartition("/")[0].partition("/")
    pid = rest.partition("/")[0]
    if where != _here() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


@cache
def _here() -> str:
    """What numbers processes: this boot of this machine, and its namespace of process ids.

    A host's name would not do: containers may share one and number their processes alike. Where
    there is no telling, it is a name that no other process has.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii")[:8]
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return f"{platform.node().replace('/', '-')}-{uuid.uuid4().hex[:8]}"
    return f"{platform.node().replace('/', '-')}-{boot}-{namespace}"
