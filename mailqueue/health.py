"""Whether the workers of this machine are well, by the status file that each of them keeps.

A worker's main process writes down every two seconds what it is doing, in a private directory. So
a probe needs no port and no broker, and imports next to nothing: it runs every few seconds, for
each worker. What a probe says of a worker:

- *live*: it is no use to start it anew. Its main loop has turned lately, or it says what keeps the
  loop from turning: it connects, it stops, or it has the batch itself (``--pool solo``). A broker
  that is away is no reason to kill a worker that waits for it.
- *ready*: it takes mail from the queue, and the state store answered lately.
"""

import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

State = Literal["connecting", "consuming", "stopping"]

#: Seconds after which a loop that did not turn, or a file that was not written, is a bad sign.
WITHIN: Final = 30.0
#: Seconds after which an answer of the state store is too old to say that it is there.
_STORE_WITHIN: Final = 12.0
_OTHERS: Final = 0o077


class Status(msgspec.Struct):
    """What a worker says of itself. Times are seconds of the machine's monotonic clock."""

    pid: int
    #: When that process began, by the kernel's count; tells it from a later one of that number.
    born: int
    #: As Celery calls it: ``NAME@HOST``.
    name: str
    state: State
    #: The main loop turned.
    loop_at: float
    #: This was written.
    written_at: float
    #: The state store answered; 0: it has not, yet.
    store_at: float = 0.0
    #: It runs a batch in its main process, whose loop stands still meanwhile.
    is_busy: bool = False


class Finding(NamedTuple):
    """What a probe found."""

    is_well: bool
    #: A sentence.
    text: str


def live(status: Status, now: float, within: float = WITHIN) -> Finding:
    """Whether a worker does what it can.

    Args:
        status: Its own words.
        now: Seconds of the monotonic clock.
        within: Seconds for which its main loop may stand still.
    """
    # What lies in the future was written before the machine was started anew.
    silent = now - status.written_at
    if not 0 <= silent <= within:
        return Finding(False, f"{status.name} has said nothing for {silent:.0f} s: it hangs")
    if status.state != "consuming":
        return Finding(True, f"{status.name} is {status.state}")
    still = now - status.loop_at
    if still > within and not status.is_busy:
        return Finding(False, f"{status.name}: its main loop has stood still for {still:.0f} s")
    return Finding(True, f"{status.name} is {'busy' if status.is_busy else 'well'}")


def ready(status: Status, now: float, within: float = WITHIN) -> Finding:
    """Whether a worker takes mail from the queue and can record what comes of it; see ``live``."""
    finding = live(status, now, within)
    if not finding.is_well:
        return finding
    if status.state != "consuming":
        return Finding(False, f"{status.name} is {status.state}")
    if not status.store_at or now - status.store_at > _STORE_WITHIN:
        return Finding(False, f"{status.name}: the state store does not answer")
    return Finding(True, f"{status.name} is ready")


def probe(
    what: Literal["live", "ready"], *, name: str = "", pid: int = 0, within: float = WITHIN
) -> list[Finding]:
    """Look at the workers that this user runs on this machine, or in this container.

    Args:
        what: What to ask.
        name: Of that one only: ``NAME@HOST``, or ``NAME``.
        pid: Of that one only.
        within: As for ``live()``.

    Returns:
        A finding for each worker; where there is none, one that says so.
    """
    judge = ready if what == "ready" else live
    now = time.monotonic()
    found = [
        status
        for status in statuses()
        if (not name or name in {status.name, status.name.partition("@")[0]})
        and (not pid or pid == status.pid)
    ]
    if not found:
        which = f" {name}" if name else f" with process id {pid}" if pid else ""
        return [Finding(False, f"no worker{which} runs here ({directory()})")]
    return [judge(status, now, within) for status in sorted(found, key=lambda s: s.name)]


def statuses() -> Iterator[Status]:
    """The status of each worker whose process is there."""
    if not is_private(directory()):
        return
    for path in directory().glob(f"worker-{_namespace()}-*.json"):
        try:
            status = msgspec.json.decode(path.read_bytes(), type=Status)
        except (OSError, msgspec.MsgspecError):
            continue  # it has just gone, or is of another version
        if born(status.pid) == status.born:
            yield status


def forget_the_dead() -> None:
    """Remove what workers left that were killed."""
    for path in directory().glob(f"worker-{_namespace()}-*"):
        pid = path.stem.rpartition("-")[2]
        if pid.isdecimal() and born(int(pid)) is None:
            path.unlink(missing_ok=True)


def directory() -> Path:
    """Where the status files are: the user's runtime directory, else the one for passing files."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    parent = runtime if os.path.isabs(runtime) else tempfile.gettempdir()  # noqa: PTH117 - quick
    return Path(parent) / f"mailqueue-{os.geteuid()}"


def file_of(pid: int) -> Path:
    """The status file of a process."""
    return directory() / f"worker-{_namespace()}-{pid}.json"


def is_private(path: Path) -> bool:
    """Whether a directory is there and this user's alone: in ``/tmp`` anybody may make one."""
    try:
        found = path.lstat()
    except OSError:
        return False
    mine = found.st_uid == os.geteuid() and not found.st_mode & _OTHERS
    return stat.S_ISDIR(found.st_mode) and mine


def born(pid: int) -> int | None:
    """When a process began, in ticks since the machine did; None where there is no such process.

    0 where the system does not tell (it is no Linux).
    """
    try:
        told = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        if not Path("/proc/self/stat").exists():
            return _born_elsewhere(pid)
        return None
    # The second field is the program's name, which may hold anything; the 22nd is the time.
    fields = told.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


def _born_elsewhere(pid: int) -> int | None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        return 0
    return 0


def _namespace() -> int:
    """What numbers processes: containers may share a directory, and number theirs alike."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0
