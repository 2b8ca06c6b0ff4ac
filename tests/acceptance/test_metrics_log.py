"""The example of ``docs/monitoring.md`` that writes outcomes as JSON, in a real worker."""

import json
import re
from pathlib import Path

from support.processes import until, worker

from mailqueue import conf, send_mail

PAGE = Path(__file__).parents[2] / "docs" / "monitoring.md"
EXAMPLE = re.compile(r"<!-- mailinglog\.py: .*?```python\n(.*?)```", re.DOTALL)
#: In the order in which they stand in the table.
FIELDS = re.compile(r"^\| `(\w+)` \| [^|]+ \|$", re.MULTILINE)


def test_outcomes_as_json(redis_settings, smtp, tmp_path, monkeypatch):
    text = PAGE.read_text("utf-8")
    (found,) = EXAMPLE.findall(text)
    (tmp_path / "mailinglog.py").write_text(found, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    settings = redis_settings | {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(smtp.port)}
    conf.configure(**settings)
    smtp.script = lambda verb, argument, _: {
        ("RCPT", "bad@example.com"): "550 no such user",
        ("RCPT", "later@example.com"): "450 later",
    }.get((verb, argument))
    settings["MAILQUEUE_EVENTS"] = "mailinglog.noted"
    for who in ("good", "bad", "later"):
        send_mail("SECRET", "SECRET", "a@example.com", [f"{who}@example.com"])
    with worker(settings, tmp_path / "worker.log") as running:
        until(lambda: running.log.count('"outcome"') == 3, 20, lambda: running.log)
    lines = [json.loads(line) for line in running.log.splitlines() if line.startswith('{"at"')]
    by_outcome = {line["outcome"]: line for line in lines}
    assert set(by_outcome) == {"sent", "bounced", "deferred"}
    assert by_outcome["bounced"]["reply"] == '"550 no such user"'
    told = FIELDS.findall(text.partition("## Logs")[2].partition("## One mail")[0])
    assert set(told) == {*by_outcome["deferred"]} - {"at", "outcome"}
    assert "SECRET" not in running.log
