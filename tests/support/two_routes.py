"""Routes that lead to servers of the test's own, whose providers say what they are told to."""

import base64
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from mailqueue import EmailMessage, Handle, conf, enqueue, failed, ledger, routes, schedule
from mailqueue.outcomes import Stage, Status
from mailqueue.state import get_state, key
from support.scripted_replies import ScriptedServer

PASSWORD: Final = "the account's password"


class Trouble(NamedTuple):
    """What a provider says to an account."""

    #: ``Stage.LOGIN``, or the stage of a mail at which it is said.
    stage: Stage
    reply: str
    #: Mails of the account, by their numbers, from which on it is said.
    after: int = 0


class Provider(ScriptedServer):
    """A server with accounts; a mail is of the one that its sender is named after (``mail()``).

    Attributes:
        trouble: By account; others have none.
        asked: How often an account met its trouble.
    """

    def __init__(self) -> None:
        super().__init__(password=PASSWORD)
        self.trouble: dict[str, Trouble] = {}
        self.asked: Counter[str] = Counter()

    def reply_to(self, stage: Stage, sender: str, recipient: str = "") -> str | None:
        """What the provider has to say about the account; else what the script says."""
        account, _, number = sender.partition("@")[0].partition("+")
        found = self.trouble.get(account)
        if found and found.stage is stage and int(number or 0) >= found.after:
            with self.lock:
                self.asked[account] += 1
            return found.reply
        return super().reply_to(stage, sender, recipient)

    def let_in(self, said: str) -> str:
        """Likewise; the login names the account."""
        account = base64.b64decode(said.rsplit(maxsplit=1)[-1]).decode().split("\0")[1]
        found = self.trouble.get(account)
        if found and found.stage is Stage.LOGIN:
            with self.lock:
                self.asked[account] += 1
            return found.reply
        return super().let_in(said)

    def route(self, account: str, **more: Any) -> dict[str, Any]:
        """A route's table that leads here."""
        login = {"username": account, "password": PASSWORD}
        return {"host": "127.0.0.1", "port": self.port} | login | more

    @property
    def arrived(self) -> Counter[str]:
        """How often each mail was taken, by its name: ``ACCOUNT+NUMBER``."""
        return Counter(mail.sender.partition("@")[0] for mail in list(self.received))


def mail(account: str, number: int = 0) -> EmailMessage:
    """A mail that an account of a ``Provider`` sends."""
    sender = f"{account}+{number}@example.com"
    return EmailMessage("Subject", "Body", sender, [f"to{number}@example.com"])


def names(account: str, numbers: Iterable[int]) -> list[str]:
    """What such mails are called in ``Provider.arrived``."""
    return [f"{account}+{number}" for number in numbers]


def send(route: str, numbers: Iterable[int], account: str = "", **options: Any) -> list[Handle]:
    """Enqueue mails for a route, by default those of the account of its name; one batch."""
    return enqueue([mail(account or route, n) for n in numbers], route=route, **options)


def with_routes(
    settings: Mapping[str, str], table: Mapping[str, Any], **more: str
) -> dict[str, str]:
    """Settings with these routes, as JSON in the environment; this process has them from now on."""
    made = {**settings, "MAILQUEUE_ROUTES": json.dumps(table), **more}
    conf.reset()
    conf.configure(**made)
    return made


def all_sent(handles: Iterable[Handle]) -> bool:
    """Whether each was sent, for those who look again and again."""
    return all(handle.status() is Status.SENT for handle in handles)


def is_quiet() -> bool:
    """Nothing waits, nothing is in a worker's hands."""
    waiting = schedule.count() + sum(routes.parked(name) for name in routes.known())
    return waiting == ledger.in_flight() == 0


def blamed(handles: Iterable[Handle]) -> list[object]:
    """What was held against mails that only their route was in the way of: nothing, it must be."""
    found = [(handle.id, ledger.look_up(handle.id)) for handle in handles]
    wrong: list[object] = [
        (id_, record) for id_, record in found if record is None or record.attempts or record.failed
    ]
    return wrong + [(entry.id, entry.reason, entry.detail) for entry in failed.entries()]


def let_time_pass(*paused: str) -> None:
    """The time of these pauses is over."""
    for name in paused:
        get_state().hset(key("route", name), "until", 1)


def hasten(handles: Iterable[Handle]) -> None:
    """Let what waits for a time be due now."""
    get_state().zadd(key("schedule"), {h.id: time.time() for h in handles}, xx=True)
