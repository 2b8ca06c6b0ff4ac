"""Whose turn it is: the urgent first, and nobody for ever last."""

from types import SimpleNamespace

import pytest
from kombu.asynchronous.semaphore import LaxBoundedSemaphore

from mailqueue import conf
from mailqueue.broker import queue_name
from worker.priorities import Turns, WaitingRoom, WaitingRoomStep, priority_of

HIGH, NORMAL, BULK = "q.high", "q", "q.bulk"


@pytest.fixture(autouse=True)
def _named():
    conf.configure(MAILQUEUE_QUEUE="q")


def turns(*names: str) -> Turns:
    made = Turns()
    made.update(names or (BULK, NORMAL, HIGH))
    return made


def take(made: Turns, *there: str) -> str:
    """Take from the first queue that has something."""
    found = next(name for name in made.consume(3) if name in there)
    made.rotate(found)
    return found


def test_names():
    assert [queue_name("q", p) for p in ("high", "normal", "bulk")] == [HIGH, NORMAL, BULK]
    assert [priority_of(name) for name in (HIGH, NORMAL, BULK)] == ["high", "normal", "bulk"]
    assert priority_of("somebody.elses.bulk") == "normal"


def test_the_urgent_is_first_whatever_the_order_in_which_queues_were_named():
    made = turns()
    assert made.first == HIGH
    assert made.consume(3) == [HIGH, NORMAL, BULK]
    assert made.consume(2) == [HIGH, NORMAL]
    assert turns("other", BULK).first == "other"


@pytest.mark.parametrize(
    ("there", "window", "served"),
    [
        ((HIGH, NORMAL, BULK), 10, BULK),
        ((HIGH, BULK), 10, BULK),
        ((NORMAL, BULK), 10, BULK),
        ((HIGH, NORMAL), 5, NORMAL),
        ((HIGH, NORMAL, BULK), 6, NORMAL),
    ],
)
def test_in_each_stretch_of_a_load_without_end_each_queue_has_its_share(there, window, served):
    made = turns()
    taken = [take(made, *there) for _ in range(300)]
    assert all(served in taken[at : at + window] for at in range(300 - window))
    assert taken.count(there[0]) > 0.6 * len(taken), "and the most urgent has the most of it"


@pytest.mark.parametrize("taken_before", range(25))
def test_among_bulk_alone_a_high_mail_is_the_very_next(taken_before):
    made = turns()
    for _ in range(taken_before):
        take(made, BULK)
    assert take(made, BULK, HIGH) == HIGH


def test_an_empty_queue_is_owed_nothing():
    made = turns()
    for _ in range(9):
        take(made, HIGH)
    assert made.consume(3)[0] == BULK
    take(made, HIGH)
    assert made.consume(3)[0] != BULK


def test_what_was_passed_over_is_known_when_queues_come_and_go():
    made = turns(HIGH, BULK)
    for _ in range(9):
        take(made, HIGH)
    made.update([HIGH, NORMAL, BULK])
    made.rotate("no longer looked at")
    assert take(made, HIGH, BULK) == BULK


def request(queue: str) -> SimpleNamespace:
    return SimpleNamespace(delivery_info={"exchange": "", "routing_key": queue})


def test_a_semaphore_with_a_waiting_room_calls_the_urgent_first():
    semaphore = LaxBoundedSemaphore(1)
    WaitingRoomStep(None).create(SimpleNamespace(semaphore=semaphore))
    began: list[str] = []
    for queue in (BULK, BULK, NORMAL, HIGH, HIGH):
        semaphore.acquire(
            lambda one: began.append(one.delivery_info["routing_key"]), request(queue)
        )
    assert began == [BULK]
    assert "waiting:4" in repr(semaphore)
    for _ in range(5):
        semaphore.release()
    assert began == [BULK, HIGH, HIGH, NORMAL, BULK]
    assert semaphore.value == 1


def test_a_waiting_room_in_which_nobody_waits():
    room = WaitingRoom()
    with pytest.raises(IndexError):
        room.popleft()
    room.append((print, (request(HIGH),), {}))
    room.append((print, (SimpleNamespace(delivery_info=None),), {}))
    assert len(room) == 2
    room.clear()
    assert len(room) == 0
    with pytest.raises(IndexError):
        room.popleft()


def test_bulk_waits_its_share_in_the_room_and_no_longer():
    room = WaitingRoom()
    for queue in [HIGH] * 50 + [BULK] * 5:
        room.append((print, (request(queue),), {}))
    left = [room.popleft()[1][0].delivery_info["routing_key"] for _ in range(50)]
    assert [at for at, queue in enumerate(left) if queue == BULK] == [9, 19, 29, 39, 49]


def test_a_worker_without_a_semaphore_is_left_alone():
    WaitingRoomStep(None).create(SimpleNamespace(semaphore=None))
