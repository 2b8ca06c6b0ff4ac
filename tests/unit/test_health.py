import os
from pathlib import Path

import msgspec
import pytest

from mailqueue import health
from mailqueue.health import Status, live, ready

NOW = 1000.0


def status(**changes: object) -> Status:
    usual: dict[str, object] = {
        "pid": os.getpid(), "born": health.born(os.getpid()), "name": "one@host",
        "state": "consuming", "loop_at": NOW - 1, "written_at": NOW - 1, "store_at": NOW - 1,
    }  # fmt: skip
    return msgspec.convert(usual | changes, Status)


@pytest.mark.parametrize(
    ("changes", "is_live", "is_ready"),
    [
        ({}, True, True),
        ({"loop_at": NOW - 31}, False, False),
        ({"loop_at": NOW - 300, "is_busy": True}, True, True),
        ({"loop_at": NOW - 300, "state": "connecting"}, True, False),
        ({"loop_at": NOW - 300, "state": "stopping"}, True, False),
        # Whatever it says: it does not say it now.
        ({"written_at": NOW - 31, "state": "connecting"}, False, False),
        ({"written_at": NOW - 31, "is_busy": True}, False, False),
        # Of before the machine was started anew.
        ({"written_at": NOW + 5, "loop_at": NOW + 5}, False, False),
        ({"store_at": 0.0}, True, False),
        ({"store_at": NOW - 60}, True, False),
    ],
)
def test_what_a_probe_makes_of_a_status(
    changes: dict[str, object], is_live: bool, is_ready: bool
) -> None:
    found = status(**changes)
    assert (live(found, NOW).is_well, ready(found, NOW).is_well) == (is_live, is_ready)
    assert "one@host" in live(found, NOW).text


def test_who_asks_says_how_long_is_too_long() -> None:
    found = status(loop_at=NOW - 10)
    assert live(found, NOW).is_well
    assert not live(found, NOW, within=5).is_well


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    found = health.directory()
    found.mkdir(mode=0o700)
    return found


def test_only_files_of_processes_that_are_there_count(directory: Path) -> None:
    mine = status()
    health.file_of(mine.pid).write_bytes(msgspec.json.encode(mine))
    # Its number was given to another process since.
    health.file_of(mine.pid + 1).write_bytes(msgspec.json.encode(status(born=1)))
    health.file_of(mine.pid + 2).write_bytes(b"{")
    (directory / f"worker-1-{mine.pid}.json").write_bytes(msgspec.json.encode(mine))
    assert list(health.statuses()) == [mine]


def test_a_directory_that_is_open_to_others_is_not_believed(directory: Path) -> None:
    mine = status()
    health.file_of(mine.pid).write_bytes(msgspec.json.encode(mine))
    directory.chmod(0o770)
    assert list(health.statuses()) == []
    directory.chmod(0o700)
    assert list(health.statuses()) == [mine]


def test_a_directory_that_is_a_link_is_not_believed(directory: Path, tmp_path: Path) -> None:
    directory.rename(tmp_path / "elsewhere")
    directory.symlink_to(tmp_path / "elsewhere")
    assert not health.is_private(directory)


def test_a_process_that_is_gone_was_never_born() -> None:
    assert health.born(os.getpid()) is not None
    assert health.born(2**22 + 1) is None
