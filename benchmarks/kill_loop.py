"""Workers killed (SIGKILL) again and again while they send: is any mail lost, is any sent twice?

A server counts every Message-ID that it acknowledged, for every recipient. Kills hit a whole
worker with its children, or a single child, at random moments spread over the run; a replacement
starts at once. Unavoidable is one mail a connection that a kill ended: the server had it, the
worker had not heard so. The run fails if a mail is lost, or more than that came twice.

By default the server takes its time between having a mail and saying so, so that nearly every
kill hits that gap. With --patient it takes its time before the mail and confirms at once.

    python benchmarks/kill_loop.py [--broker rabbitmq] [--mails 20000] [--kills 25] [--patient]
"""

import argparse
import shutil
import signal
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.brokers import AMQP_URL, delete_rabbitmq_queue, rabbitmq_trouble
from support.killing.loop import VISIBILITY_TIMEOUT, KillLoop, Plan
from support.killing.outcome import Outcome
from support.outages import KillableRedis

from mailqueue import ledger

#: Mails that are named where something went wrong.
_NAMED = 20


@contextmanager
def broker(kind: str) -> Iterator[dict[str, str]]:
    """A Redis of our own that writes to a file, alone or beside RabbitMQ; a queue of our own."""
    queue = f"kill-{uuid.uuid4().hex[:12]}"
    with KillableRedis() as state:
        if kind == "redis":
            yield {"MAILQUEUE_QUEUE": queue, "MAILQUEUE_BROKER_URL": state.url}
            return
        if trouble := rabbitmq_trouble():
            sys.exit(f"{trouble}; MAILQUEUE_TEST_AMQP_URL names another")
        try:
            yield {
                "MAILQUEUE_QUEUE": queue,
                "MAILQUEUE_BROKER_URL": AMQP_URL,
                "MAILQUEUE_REDIS_URL": state.url,
            }
        finally:
            delete_rabbitmq_queue(queue)


def show(plan: Plan, kind: str, outcome: Outcome) -> None:
    kills = len(outcome.kills)
    whole = sum(kill.whole for kill in outcome.kills)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("broker", kind)
    table.add_row("workers", f"{plan.workers} ({', '.join(plan.pools)})")
    table.add_row("the server pauses", "before a mail" if plan.patient else "before its reply")
    table.add_row("visibility timeout, s", str(VISIBILITY_TIMEOUT))
    table.add_row("mails sent", str(outcome.sent))
    table.add_row("kills: whole worker / child", f"{whole} / {kills - whole}")
    table.add_row("arrived", str(outcome.arrived))
    table.add_row("kept for a person or for later", str(outcome.kept))
    table.add_row("lost" if outcome.finished else "not yet arrived", str(len(outcome.lost)))
    table.add_row("duplicates", str(outcome.duplicates))
    table.add_row("  a kill", f"{outcome.duplicates / max(1, kills):.2f}")
    table.add_row("  connections killed: the bound", str(outcome.bound))
    table.add_row("  not the last of a killed one", str(len(outcome.unexplained)))
    table.add_row("batches left at the broker", str(outcome.left))
    waits = outcome.recoveries or [0.0]
    table.add_row("to recover, s: median / longest", f"{median(waits):.1f} / {max(waits):.1f}")
    table.add_row("seconds", f"{outcome.seconds:.0f}")
    Console(width=None if sys.stdout.isatty() else 80).print(table)


def explain(plan: Plan, outcome: Outcome, directory: Path) -> None:
    """What a person needs who has to find out why; asked while the state store is there."""
    if not outcome.finished:
        print(f"not done within {plan.limit:.0f} s (--limit)")
    for id_ in outcome.lost[:_NAMED] if outcome.finished else ():
        print(f"lost: {id_}; the ledger knows {ledger.look_up(id_)}")
    for mail in outcome.unexplained[:_NAMED]:
        print(f"twice without need: {mail.message_id} to {mail.recipient}")
    print(f"seed {plan.seed}; the workers' logs are in {directory}")


def arguments() -> tuple[Plan, str]:
    default = Plan()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--mails", type=int, default=default.mails)
    parser.add_argument("--kills", type=int, default=default.kills)
    parser.add_argument("--workers", type=int, default=default.workers)
    parser.add_argument("--pools", default=",".join(default.pools), help="shared out in turn")
    parser.add_argument("--batch", type=int, default=default.batch)
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--limit", type=float, default=default.limit, help="seconds")
    parser.add_argument("--patient", action="store_true", help="a server that confirms at once")
    parser.add_argument("--broker", choices=("redis", "rabbitmq"), default="redis")
    given = vars(parser.parse_args())
    kind = given.pop("broker")
    given["pools"] = tuple(given["pools"].split(","))
    return Plan(**given), kind


def main() -> int:
    plan, kind = arguments()
    # SIGTERM ends it as Ctrl-C does: workers have to be killed on every way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    directory = Path(tempfile.mkdtemp(prefix="mq-kill-"))
    try:
        with broker(kind) as settings:
            outcome = KillLoop(plan, settings, directory).run()
            show(plan, kind, outcome)
            if not outcome.good:
                explain(plan, outcome, directory)
                return 1
    except KeyboardInterrupt:
        print("interrupted")
        shutil.rmtree(directory)
        return 1
    shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
