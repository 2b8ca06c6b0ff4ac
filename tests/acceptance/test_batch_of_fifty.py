"""One task, fifty mails, and everything goes wrong: no mail suffers from another one's trouble."""

import msgspec
import pytest
from support.processes import until, worker
from support.scripted_replies import Play, ScriptedServer

from mailqueue import EmailMessage, conf, failed, ledger, schedule
from mailqueue.broker import DELIVER, configuration, make_app
from mailqueue.desk.standing import standing_of
from mailqueue.envelope import Envelope
from mailqueue.outcomes import Stage, Status
from mailqueue.packing import pack_message
from mailqueue.values import Special

MALFORMED, DAMAGED, BOUNCED, DEFERRED, PARTLY = 3, 7, 11, 15, 31
BATCH = 50

both_brokers = pytest.mark.parametrize(
    "broker", ["redis-tcp", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)], indirect=True
)


def address(name: str) -> str:
    return f"{name}@example.com"


def envelopes() -> list[Envelope]:
    """A batch; each sender says which mail it is."""
    made = []
    for number in range(BATCH):
        to = [address(f"to{number}")]
        if number == PARTLY:
            to = [address("first"), address("refused"), address("third")]
        message = EmailMessage(f"Mail {number}", "Body", address(f"mail{number}"), to)
        made.append(pack_message(message))
    # What no producer of ours would publish.
    made[MALFORMED] = msgspec.structs.replace(made[MALFORMED], to=("two@signs@example.com",))
    damaged = Special("date", text="no date")
    made[DAMAGED] = msgspec.structs.replace(made[DAMAGED], to=(damaged,))
    return made


@both_brokers
def test_fifty_mails_in_one_task_fare_each_for_itself(broker, tmp_path):
    with ScriptedServer() as server:
        settings = broker | server.settings | {"MAILQUEUE_RETRY_SCHEDULE": "0.5"}
        conf.configure(**settings)
        server.plays = {
            f"mail{BOUNCED}": [Play(Stage.RECIPIENT, "550 5.1.1 no such user", times=None)],
            f"mail{DEFERRED}": [Play(Stage.CONTENT, "451 4.3.0 not now")],
            f"mail{PARTLY}": [
                Play(Stage.RECIPIENT, "550 5.1.1 not here", address("refused"), times=None)
            ],
        }
        server.hang_up_after = 20
        batch = envelopes()
        app = make_app(configuration(conf.get_settings()))
        app.send_task(
            DELIVER,
            args=([one.encode() for one in batch],),
            queue=settings["MAILQUEUE_QUEUE"],
            argsrepr=f"({BATCH})",
        )
        # A node name of its own: RabbitMQ gives a name's control queue to one worker only.
        name = f"{settings['MAILQUEUE_QUEUE']}@%h"
        with worker(settings, tmp_path / "worker.log", "-n", name) as running:
            until(lambda: all(_is_over(one) for one in batch), 40, lambda: running.log)
            until(lambda: ledger.in_flight() == 0, 20, lambda: running.log)

        served = {(f"mail{n}", address(f"to{n}")): 1 for n in range(BATCH)}
        for number in (MALFORMED, DAMAGED, BOUNCED, PARTLY):
            del served[f"mail{number}", address(f"to{number}")]
        served |= {(f"mail{PARTLY}", address(name)): 1 for name in ("first", "third")}
        assert server.deliveries() == served
        # One, one more after the server hung up, and one for the mail that came again.
        assert server.connections == 3
        (again,) = [mail for mail in server.received if mail.connection == 3]
        assert again.sender == address(f"mail{DEFERRED}")
        # It hung up in the middle, not at the end, and the rest took the second connection.
        assert sum(mail.connection == 1 for mail in server.received) == 20

    ends = {number: _end(one) for number, one in enumerate(batch)}
    expected = dict.fromkeys(range(BATCH), (Status.SENT, 0, 1, 0))
    expected[MALFORMED] = expected[DAMAGED] = (Status.BOUNCED, 1, 0, 1)
    expected[BOUNCED] = (Status.BOUNCED, 1, 0, 1)
    expected[DEFERRED] = (Status.SENT, 1, 1, 0)
    expected[PARTLY] = (Status.BOUNCED, 1, 2, 1)
    assert ends == expected
    kept = {entry.id: entry for entry in failed.entries()}
    assert set(kept) == {batch[n].id for n in (MALFORMED, DAMAGED, BOUNCED, PARTLY)}
    assert {entry.reason for entry in kept.values()} == {"bounced"}
    details = {n: kept[batch[n].id].detail for n in (BOUNCED, PARTLY)}
    assert details == {BOUNCED: "550 5.1.1 no such user", PARTLY: "550 5.1.1 not here"}
    partly = kept[batch[PARTLY].id].envelope()
    assert partly
    assert partly.recipients == (address("refused"),)
    assert schedule.count() == 0
    assert "batch broken off" not in running.log


def _is_over(envelope: Envelope) -> bool:
    record = ledger.look_up(envelope.id)
    return record is not None and record.status.final


def _end(envelope: Envelope) -> tuple[Status, int, int, int]:
    standing = standing_of(envelope.id)
    assert standing
    return standing.status, standing.attempts, standing.served, standing.failed
