"""How much longer a web request takes for the mail that it sends, in each example application.

Each application is served twice, by the line of its README: once with the queue, and once with the
dummy backend, which sends nothing. The same contact form is posted to the one and to the other,
turn by turn, over connections that stay open; so whatever else the machine does meets both alike.
A worker that delivers to a local server runs beside it.

Then the broker is taken away: nobody answers at its port, or somebody answers nothing.

Exits with 1 where the medians differ by 50 ms or more, or the time-out is not kept.
"""

import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import httpx
from support.brokers import free_port, redis_server
from support.example_apps import served, worker_command
from support.processes import until, worker
from support.smtp import SmtpServer

REQUESTS = 300
WARM = 20
PROMISED_MS = 50.0
TIMEOUT = 2.0
DUMMY = {"EMAIL_BACKEND": "mailqueue.backends.dummy.EmailBackend"}
DJANGOS_DUMMY = "django.core.mail.backends.dummy.EmailBackend"
LETTER = {"address": "carla@example.com", "subject": "Two pens", "text": "Have you two pens? " * 50}

Post = Callable[[], httpx.Response]


def poster(name: str, client: httpx.Client) -> Post:
    """How this application's contact form is posted."""
    if name == "fastapi_app":
        return lambda: client.post("/contact", json=LETTER)
    if name == "flask_app":
        return lambda: client.post("/contact", data=LETTER)
    client.get("/")
    token = {"csrfmiddlewaretoken": client.cookies["csrftoken"]}
    return lambda: client.post("/contact", data=LETTER | token)


def settings_for(name: str, directory: Path, settings: dict[str, str]) -> dict[str, str]:
    """The settings, and what the application itself needs."""
    directory.mkdir(exist_ok=True)
    if name == "django_site" and "EMAIL_BACKEND" in settings:
        # There it is in Django's settings, so another module of settings has another.
        lines = f"from shop.settings import *\nEMAIL_BACKEND = {DJANGOS_DUMMY!r}\n"
        (directory / "without_mail.py").write_text(lines, "utf-8")
        settings = settings | {
            "DJANGO_SETTINGS_MODULE": "without_mail",
            "PYTHONPATH": str(directory),
        }
    return {
        "DATABASE": str(directory / "db.sqlite3"),
        "FLASK_DATABASE": str(directory / "shop.sqlite3"),
        "DJANGO_SUPERUSER_PASSWORD": "correct horse battery",
        "MAILQUEUE_ENQUEUE_TIMEOUT": str(TIMEOUT),
        **settings,
    }


def milliseconds(post: Post, expected: set[int]) -> float:
    started = time.perf_counter()
    answer = post()
    took = 1000 * (time.perf_counter() - started)
    if answer.status_code not in expected:
        raise SystemExit(f"{answer.status_code}: {answer.text[:300]}")
    return took


def shown(name: str, what: str, times: list[float]) -> None:
    p95 = statistics.quantiles(times, n=20)[-1]
    print(f"{name:12} {what:22} median {statistics.median(times):8.2f} ms   p95 {p95:8.2f} ms")


def compare(name: str, directory: Path, settings: dict[str, str], smtp: SmtpServer) -> bool:
    with_mail = settings_for(name, directory / "with", settings)
    without = settings_for(name, directory / "without", settings | DUMMY)
    before = len(smtp.received)
    with (
        served(name, with_mail, directory / "with.log") as one,
        served(name, without, directory / "without.log") as other,
        worker(with_mail, directory / "worker.log", command=worker_command(name)),
    ):
        sending, plain = poster(name, one), poster(name, other)
        times: dict[str, list[float]] = {"with": [], "without": []}
        for number in range(WARM + REQUESTS):
            turns = [("with", sending), ("without", plain)]
            for what, post in turns if number % 2 else reversed(turns):
                took = milliseconds(post, {200, 202})
                if number >= WARM:
                    times[what].append(took)
        # Mail was sent by the one, and by the other none.
        until(lambda: len(smtp.received) - before >= WARM + REQUESTS, 60)
    shown(name, "with a mail", times["with"])
    shown(name, "without", times["without"])
    difference = statistics.median(times["with"]) - statistics.median(times["without"])
    kept = difference < PROMISED_MS and len(smtp.received) - before == WARM + REQUESTS
    print(f"{name:12} {difference:+.2f} ms for the mail {'' if kept else '- PROMISE BROKEN'}")
    return kept


@contextmanager
def swallowing() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


@contextmanager
def refusing() -> Iterator[int]:
    yield free_port()


def without_broker(name: str, directory: Path) -> bool:
    kept = True
    for what, broker in (("refusing", refusing), ("swallowing", swallowing)):
        with ExitStack() as stack:
            port = stack.enter_context(broker())
            settings = settings_for(
                name, directory / what, {"MAILQUEUE_BROKER_URL": f"redis://127.0.0.1:{port}/0"}
            )
            client = stack.enter_context(served(name, settings, directory / f"{what}.log"))
            post = poster(name, client)
            times = [milliseconds(post, {503}) for _ in range(5)]
        middle = statistics.median(times)
        shown_as = f"broker {what}: 503"
        print(f"{name:12} {shown_as:22} median {middle:8.2f} ms   max {max(times):8.2f} ms")
        kept = kept and max(times) < 1000 * TIMEOUT
    return kept


def main() -> int:
    print(f"{REQUESTS} requests with and {REQUESTS} without, turn by turn; time-out {TIMEOUT:g} s")
    kept = []
    with (
        redis_server() as redis,
        SmtpServer() as smtp,
        tempfile.TemporaryDirectory() as scratch,
    ):
        for name in ("django_site", "flask_app", "fastapi_app"):
            directory = Path(scratch) / name
            directory.mkdir()
            settings = {
                "MAILQUEUE_BROKER_URL": redis.tcp_url,
                "MAILQUEUE_QUEUE": f"bench-{name}",
                "EMAIL_HOST": "127.0.0.1",
                "EMAIL_PORT": str(smtp.port),
            }
            kept += [compare(name, directory, settings, smtp), without_broker(name, directory)]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
