"""The filebased backend, on a real file system."""

import os
import stat
from email import message_from_bytes
from pathlib import Path

import pytest

from mailqueue import configure
from mailqueue.backends.filebased import EmailBackend
from mailqueue.errors import ConfigurationError
from mailqueue.message import EmailMessage


def mail(body="hello"):
    return EmailMessage("Subject", body, "me@example.com", ["ann@example.com"])


@pytest.mark.parametrize("kind", [str, Path])
def test_one_private_file_for_each_instance(tmp_path, kind):
    directory = kind(tmp_path / "new" / "mail")
    first, second = EmailBackend(file_path=directory), EmailBackend(file_path=directory)
    assert first.send_messages([mail(), mail()]) == 2
    assert first.send_messages(iter([mail()])) == 1
    assert second.send_messages([mail()]) == 1
    files = sorted(Path(directory).iterdir(), key=lambda file: -file.stat().st_size)
    assert len(files) == 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    letters = files[0].read_bytes().split(b"\n" + b"-" * 79 + b"\n")
    assert len(letters) == 4
    assert message_from_bytes(letters[0])["To"] == "ann@example.com"


def test_open_and_close(tmp_path):
    backend = EmailBackend(file_path=tmp_path)
    backend.close()
    with backend:
        assert backend.open() is False
        assert backend.send_messages([]) == 0
    assert backend.open() is True
    backend.close()


def test_directory_from_the_settings(tmp_path):
    configure(EMAIL_FILE_PATH=str(tmp_path))
    EmailBackend().send_messages([mail("ü")])
    assert "ü".encode() in next(tmp_path.iterdir()).read_bytes()


def test_instances_one_after_the_other_get_files_of_their_own(tmp_path):
    for _ in range(5):
        EmailBackend(file_path=tmp_path).send_messages([mail()])
    assert len(list(tmp_path.iterdir())) == 5


def test_wrong_directories_are_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="not a directory"):
        EmailBackend(file_path=tmp_path / "file")
    with pytest.raises(ConfigurationError, match="EMAIL_FILE_PATH"):
        EmailBackend()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_directory_is_said(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigurationError, match="write"):
        EmailBackend(file_path=tmp_path)


def test_attach_file_guesses_its_type(tmp_path):
    (tmp_path / "a.txt").write_text("text é", encoding="utf-8")
    (tmp_path / "b.png").write_bytes(b"\x89PNG")
    (tmp_path / "c.txt").write_bytes(b"\xff")
    message = mail()
    for name in ("a.txt", "b.png", "c.txt"):
        message.attach_file(tmp_path / name)
    assert message.attachments == [
        ("a.txt", "text é", "text/plain"),
        ("b.png", b"\x89PNG", "image/png"),
        ("c.txt", b"\xff", "application/octet-stream"),
    ]
    with pytest.raises(FileNotFoundError):
        message.attach_file(str(tmp_path / "none"))
