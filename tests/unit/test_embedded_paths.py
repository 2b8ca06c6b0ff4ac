import contextlib
import os
import stat
from pathlib import Path
from urllib.parse import quote

import platformdirs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from kombu.utils.url import parse_url

from mailqueue.embedded import paths, server
from mailqueue.errors import ConfigurationError, EmbeddedError

# What a directory's name can be made of; a dot would only be normalised away.
NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20
).filter(lambda name: name not in {".", ".."})


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_any_absolute_directory_can_be_written_as_url(names: list[str]) -> None:
    path = "/no-such-place/" + "/".join(names)
    assert paths.directory_of(f"embedded://{quote(path)}") == Path(path)


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_kombu_reads_the_socket_out_of_our_url(names: list[str]) -> None:
    socket = Path("/no-such-place", *names, "redis.sock")
    parsed = parse_url(paths.url_of(socket))
    assert parsed["transport"] == "redis+socket"
    assert f"/{parsed['virtual_host']}" == str(socket)
    assert not parsed["hostname"]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_text_without_a_leading_slash_is_refused(text: str) -> None:
    assume(not text.startswith("/"))
    with pytest.raises(EmbeddedError, match="embedded:///DIR"):
        paths.directory_of(f"embedded://{text}")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_text_after_a_slash_is_a_directory_or_refused(text: str) -> None:
    with contextlib.suppress(EmbeddedError):
        assert paths.directory_of(f"embedded:///{text}").is_absolute()


@pytest.mark.parametrize(
    "url",
    [
        "embedded://host",
        "embedded://host/dir",
        "embedded://./dir",
        "embedded://~/dir",
        "embedded:///dir?db=1",
        "embedded:///dir#1",
        "embedded:///a%00b",
        "embedded:///%ff",
        "embedded:/dir",
        "embedded",
        "",
        "redis://:geheim@localhost/0",
    ],
)
def test_other_forms_are_refused(url: str) -> None:
    with pytest.raises(EmbeddedError, match=r"embedded:// .*embedded:///DIR") as caught:
        paths.directory_of(url)
    assert isinstance(caught.value, ConfigurationError)
    assert "geheim" not in str(caught.value)


def test_no_directory_means_the_users_data_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    expected = Path(platformdirs.user_data_dir("mailqueue"), "embedded")
    assert paths.directory_of("embedded://") == expected.resolve()
    assert paths.directory_of("EMBEDDED://") == expected.resolve()


def test_one_directory_has_one_name(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "data")
    assert paths.directory_of(f"embedded://{tmp_path}/link/../data/") == tmp_path / "data"
    assert paths.directory_of(f"embedded://{tmp_path}/link") == tmp_path / "data"


@given(st.integers(1, 300))
def test_every_socket_path_is_short_enough(length: int) -> None:
    directory = Path("/" + "é" * length)
    socket = paths.socket_of(directory)
    assert len(os.fsencode(socket)) <= 103
    assert socket == paths.socket_of(directory)
    if socket.parent != directory:
        assert socket != paths.socket_of(directory / "other")


def test_a_new_directory_is_private(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    paths.prepare(directory)
    paths.prepare(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_an_empty_directory_is_made_private(tmp_path: Path) -> None:
    directory = tmp_path / "made"
    directory.mkdir()
    directory.chmod(0o777)
    paths.prepare(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_an_open_directory_with_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    directory = tmp_path / "home"
    directory.mkdir()
    directory.chmod(0o755)
    (directory / "letter").touch()
    with pytest.raises(EmbeddedError, match="chmod 700"):
        paths.prepare(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o755


def test_somebody_elses_directory_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(EmbeddedError, match=f"belongs to user {owner}"):
        paths.prepare(tmp_path)


@pytest.mark.parametrize("below", ["", "/sub"])
def test_a_file_in_the_way_is_named(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match="directory") as caught:
        paths.prepare(Path(f"{tmp_path}/file{below}"))
    assert str(tmp_path / "file") in str(caught.value)
    assert "MAILQUEUE_BROKER_URL" in str(caught.value)


def test_hostile_socket_directories_are_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(0o700)
    runtime = tmp_path / "runtime"
    runtime.symlink_to(data)
    with pytest.raises(EmbeddedError, match="not a directory"):
        paths.prepare_socket(runtime / "redis.sock", data)
    runtime.unlink()
    runtime.mkdir()
    runtime.chmod(0o770)
    with pytest.raises(EmbeddedError, match="open to other users"):
        paths.prepare_socket(runtime / "redis.sock", data)
    runtime.chmod(0o700)
    paths.prepare_socket(runtime / "redis.sock", data)


def test_the_server_has_no_port_and_loses_nothing() -> None:
    command = server.command("/bin/server", Path("/data"), Path("/data/redis.sock"))
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--port"] == "0"
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "everysec"
    assert options["--maxmemory-policy"] == "noeviction"
    assert options["--unixsocketperm"] == "700"


def test_no_server_is_no_error(tmp_path: Path) -> None:
    assert server.ping(tmp_path / "none") is server.State.ABSENT
    server.ask_to_stop(tmp_path / "none")
    assert server.last_words(tmp_path) == ""
