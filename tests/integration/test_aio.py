"""The async API: the sync one's results, and an event loop that goes on whatever happens."""

import asyncio
import contextvars
import inspect
import os
import socket
import threading
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from support.brokers import free_port

import mailqueue
from mailqueue import (
    EmailMessage,
    EnqueueError,
    StateError,
    Status,
    aio,
    conf,
    enqueuing,
    events,
    packing,
)
from mailqueue.testing import capturing

DATA = ("Subject", "Body", "us@example.com", ["ann@example.com"])
TIMEOUT = 1.0
PEOPLE = [("Ann", "ann@example.com")]


def mail(subject="subject"):
    return EmailMessage(subject, "body", "us@example.com", ["ann@example.com"])


@contextmanager
def swallowing():
    """Accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield server.getsockname()[1]


@pytest.fixture
def black_hole():
    with swallowing() as port:
        conf.configure(
            MAILQUEUE_BROKER_URL=f"redis://127.0.0.1:{port}/0",
            MAILQUEUE_ENQUEUE_TIMEOUT=TIMEOUT,
            ADMINS=PEOPLE,
            MANAGERS=PEOPLE,
        )
        yield


@contextmanager
def ticking():
    """Counts how often the event loop comes round."""
    ticks = []

    async def tick():
        while True:
            await asyncio.sleep(0.001)
            ticks.append(threading.get_ident())

    task = asyncio.get_running_loop().create_task(tick())
    try:
        yield ticks
    finally:
        task.cancel()


def test_the_calls_take_what_the_others_take():
    for name in ("enqueue", "send_mail", "send_mass_mail", "mail_admins", "mail_managers"):
        ours = inspect.signature(getattr(aio, f"a{name}"))
        theirs = inspect.signature(getattr(mailqueue, name))
        assert ours == theirs, name


def test_results_are_those_of_the_others(broker):
    conf.configure(**broker, ADMINS=PEOPLE, MANAGERS=PEOPLE)

    async def main():
        await aio.awarm_up()
        assert await aio.asend_mail(*DATA, html_message="<p>Body") == 1
        assert await aio.asend_mass_mail([DATA] * 7) == 7
        assert await aio.asend(mail()) == 1
        await aio.amail_admins("Trouble", "See the log.")
        await aio.amail_managers("News", "See the shop.", html_message="<p>See")
        one, two = await aio.aenqueue([mail(), mail()], priority="high")
        assert await aio.astatus(one) is Status.QUEUED
        assert await aio.acancel(two.id)
        assert await aio.astatuses([one, two.id]) == {
            one.id: Status.QUEUED,
            two.id: Status.CANCELLED,
        }

    asyncio.run(main())


def test_bad_input_is_raised_where_it_is_awaited(black_hole):
    async def main():
        with pytest.raises(mailqueue.BadHeaderError):
            await aio.asend_mail("Hello\nBcc: all@example.com", *DATA[1:])
        with pytest.raises(ValueError, match="priority"):
            await aio.aenqueue(mail(), priority="urgent")  # type: ignore[arg-type]

    asyncio.run(main())


CALLS = {
    "asend_mail": lambda: aio.asend_mail(*DATA),
    "asend": lambda: aio.asend(mail()),
    "asend_mass_mail": lambda: aio.asend_mass_mail([DATA] * 3),
    "aenqueue": lambda: aio.aenqueue(mail()),
    "amail_admins": lambda: aio.amail_admins("x", "x"),
    "amail_managers": lambda: aio.amail_managers("x", "x"),
    "awarm_up": aio.awarm_up,
}


def test_the_loop_goes_on_while_the_broker_swallows_everything(black_hole):
    """The time-out is some hundred rounds of the loop; blocked, it would come round never."""
    # Celery's import holds the interpreter, not the loop; it is not what is looked at.
    import mailqueue.publisher  # noqa: F401

    async def main():
        for name, call in CALLS.items():
            with ticking() as ticks:
                with pytest.raises(EnqueueError, match=r"127\.0\.0\.1"):
                    await call()
                assert len(ticks) > 20, name

    asyncio.run(main())


def test_nothing_of_a_call_runs_in_the_loop_s_thread(redis_settings, monkeypatch):
    """Encoding and sockets both: each is asked in which thread it works."""
    conf.configure(**redis_settings)
    seen = {}
    pack = packing.pack_message
    connect = redis.connection.Connection._connect

    def packed(*args, **kwargs):
        seen["pack"] = threading.current_thread().name
        return pack(*args, **kwargs)

    def connecting(self):
        seen["connect"] = threading.current_thread().name
        return connect(self)

    monkeypatch.setattr(enqueuing, "pack_message", packed)
    monkeypatch.setattr(redis.connection.Connection, "_connect", connecting)
    letter = mail()
    letter.attach("large.bin", os.urandom(5_000_000), "application/octet-stream")
    asyncio.run(aio.aenqueue(letter))
    assert set(seen) == {"pack", "connect"}
    assert all(name.startswith("mailqueue-send") for name in seen.values())


def test_silence_counts_nothing(black_hole, caplog):
    async def main():
        assert await aio.asend_mail(*DATA, fail_silently=True) == 0
        assert await aio.aenqueue(mail(), fail_silently=True) == []
        assert await aio.asend(mail(), fail_silently=True) == 0

    asyncio.run(main())
    assert "not enqueued" in caplog.text
    assert "ann@example.com" not in caplog.text


def test_a_crowd_at_a_dead_broker_is_answered_without_queueing_for_its_time_out(black_hole):
    """Ten threads, 200 mails: one after the other, each would be told what the first ten are."""
    results = []

    async def main():
        async def send(silently):
            results.append(await aio.asend_mail(*DATA, fail_silently=silently))

        with ticking() as ticks:
            sends = (send(silently=n % 2 == 0) for n in range(200))
            outcomes = await asyncio.gather(*sends, return_exceptions=True)
        assert len(ticks) > 20
        return outcomes

    outcomes = asyncio.run(main())
    errors = [one for one in outcomes if one is not None]
    assert len(errors) == 100
    assert all(isinstance(error, EnqueueError) for error in errors)
    assert any("all 10 threads" in str(error) for error in errors)
    assert results == [0] * 100


def test_a_crowd_at_a_broker_that_is_there_is_served(redis_settings):
    conf.configure(**redis_settings)

    async def main():
        await aio.awarm_up()
        return await asyncio.gather(*(aio.asend_mail(*DATA) for _ in range(500)))

    assert asyncio.run(main()) == [1] * 500


def test_context_variables_come_along(redis_settings):
    conf.configure(**redis_settings)
    request = contextvars.ContextVar("request", default="none")
    seen = []
    events.subscribe(listener := lambda event: seen.append(request.get()))

    async def main():
        request.set("request-7")
        await aio.asend_mail(*DATA)

    try:
        asyncio.run(main())
    finally:
        events.unsubscribe(listener)
    assert seen == ["request-7"]


def test_who_waits_for_a_thread_and_is_cancelled_sends_nothing():
    begun: list[str] = []
    go = threading.Event()

    def publish(batches):
        begun.extend(item.id for batch in batches for item in batch)
        go.wait(30)

    async def main():
        holders = [asyncio.create_task(aio.asend_mail(*DATA)) for _ in range(10)]
        while len(begun) < 10:  # noqa: ASYNC110 - threads set no asyncio.Event
            await asyncio.sleep(0.001)
        waiting = asyncio.create_task(aio.asend_mail(*DATA))
        await asyncio.sleep(0.01)
        waiting.cancel()
        holders[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(asyncio.CancelledError):
            await holders[0]
        go.set()
        assert await asyncio.gather(*holders[1:]) == [1] * 9

    with enqueuing.published_by(publish):
        asyncio.run(main())
        assert len(begun) == 10  # also the one whose caller had gone, and not the one that waited


def test_a_state_store_that_is_away_is_an_error_and_in_no_mail_s_way(redis_settings):
    conf.configure(**redis_settings)

    async def main():
        (handle,) = await aio.aenqueue(mail())
        conf.configure(MAILQUEUE_REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
        for call in (aio.astatus(handle), aio.acancel(handle), aio.astatuses([handle])):
            with pytest.raises(StateError, match="does not answer"):
                await call
        assert await aio.asend_mail(*DATA) == 1

    asyncio.run(main())


def test_a_forked_child_has_threads_of_its_own(redis_settings):
    conf.configure(**redis_settings)
    assert asyncio.run(aio.asend_mail(*DATA)) == 1
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if asyncio.run(aio.asend_mail(*DATA)) == 1 else 1)
        except BaseException:  # noqa: BLE001 - the child must not return into pytest
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_captured_mail_is_captured_here_too():
    async def main():
        (handle,) = await aio.aenqueue(mail())
        return await aio.astatuses([handle])

    with capturing() as outbox:
        statuses = asyncio.run(main())
    assert len(outbox) == 1
    assert Counter(statuses.values()) == {Status.QUEUED: 1}


def test_the_pages_name_every_call():
    page = (Path(__file__).parents[2] / "docs" / "fastapi.md").read_text("utf-8")
    for name in aio.__all__:
        assert f"`{name}" in page, name
