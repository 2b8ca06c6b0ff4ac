import re
from typing import Any

from support.policy_table import PAGE, with_tables

from mailqueue.outcomes import Fault, Stage, Status
from worker.policy import Case, Kind, Meaning, Reach, classify

BOUNCED = Meaning(Reach.MESSAGE, Kind.PERMANENT)


def test_the_page_s_tables_are_those_of_the_policy() -> None:
    text = PAGE.read_text("utf-8")
    assert text == with_tables(text), (
        "run `PYTHONPATH=tests:. python tests/support/policy_table.py`"
    )


def test_the_page_s_example_does_what_it_says() -> None:
    [source] = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(source, names)
    policy = names["policy"]
    away = Fault(Stage.RECIPIENT, 550, "5.3.0 directory unavailable")
    assert policy(away, classify(away), Case()).delay == 600
    assert policy(away, classify(away), Case(age=9000)) is None
    sender = Fault(Stage.SENDER, 550, "5.7.60 no")
    assert policy(sender, classify(sender), Case()).status is Status.BOUNCED
    assert policy(Fault(Stage.CONTENT, 550, "no"), BOUNCED, Case()) is None
