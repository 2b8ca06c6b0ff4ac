"""Processes that must not outlive the tests, even where nobody is left to end them.

A watchdog holds the other end of a pipe. It hears which processes there are, and when the pipe
breaks, since whoever ran the tests was killed, it kills what it knows.
"""

import subprocess
import sys
from functools import cache

#: Reads ``+PID`` and ``-PID``; at the end kills, of the rest, each with the group that it leads.
_WATCHDOG = """
import os, signal, sys
held = set()
for line in sys.stdin:
    (held.add if line[0] == "+" else held.discard)(int(line[1:]))
for pid in held:
    try:
        (os.killpg if os.getpgid(pid) == pid else os.kill)(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
"""


def hold(process: subprocess.Popen[bytes]) -> None:
    """From now on it ends with this process, at the latest."""
    _tell(f"+{process.pid}")


def release(process: subprocess.Popen[bytes]) -> None:
    """It has ended, and its number may be another's."""
    _tell(f"-{process.pid}")


@cache
def _watchdog() -> subprocess.Popen[str]:
    # A session of its own: what ends the tests must not end it before them.
    return subprocess.Popen(
        [sys.executable, "-S", "-c", _WATCHDOG],
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _tell(line: str) -> None:
    pipe = _watchdog().stdin
    assert pipe
    pipe.write(line + "\n")
    pipe.flush()
