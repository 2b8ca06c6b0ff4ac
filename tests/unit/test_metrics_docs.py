"""``docs/monitoring.md``, and whatever else names a metric, against ``mailqueue.metrics.names``."""

import re
from pathlib import Path

import pytest

from mailqueue.metrics.names import METRICS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "monitoring.md"
NAMING = [
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(path for path in ROOT.glob("deploy/**/*") if path.suffix in {".yml", ".yaml", ".json"}),
]
ROW = re.compile(r"^\| `(mailqueue_\w+)` \| (\w+) \|([^|]*)\| (.+) \|$", re.MULTILINE)
#: A series, and its labels where an expression names some.
SERIES = re.compile(r"\b(mailqueue_[a-z_]*[a-z])\b(?:\{([^}]*)\})?")
#: What ends otherwise is a package, a fixture, a table.
_ENDS = ("_total", "_seconds", "_mails", "_batches", "_bucket", "_count", "_sum", "_up", "_paused")


def table() -> str:
    _, _, rest = PAGE.read_text("utf-8").partition("<!-- metrics:")
    return rest.partition("<!-- end of metrics -->")[0]


def test_the_table_has_each_metric_as_it_is() -> None:
    told = [
        (name, kind, tuple(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels, _ in ROW.findall(table())
    ]
    assert told == [(metric.name, metric.kind, metric.labels) for metric in METRICS]


def test_values_of_labels_that_help_names_are_in_the_table() -> None:
    rows = {name: about for name, _, _, about in ROW.findall(table())}
    for name, words in {
        "mailqueue_outcomes_total": ("sent", "deferred", "bounced", "expired", "unknown"),
        "mailqueue_smtp_connections_total": (
            "ok", "unreachable", "timeout", "tls", "refused", "login",
        ),
        "mailqueue_waiting_mails": ("scheduled", "deferred", "other", "unsorted"),
    }.items():  # fmt: skip
        (metric,) = (metric for metric in METRICS if metric.name == name)
        for word in words:
            assert f"`{word}`" in rows[name], (name, word)
            assert re.search(rf"\b{word}\b", metric.help), (name, word)


@pytest.mark.parametrize("page", NAMING, ids=lambda page: str(page.relative_to(ROOT)))
def test_series_that_are_named_are_such_as_there_are(page: Path) -> None:
    known = {metric.name: set(metric.labels) for metric in METRICS if metric.kind != "histogram"}
    for metric in METRICS:
        if metric.kind == "histogram":
            known |= {
                f"{metric.name}_bucket": {*metric.labels, "le"},
                f"{metric.name}_count": set(metric.labels),
                f"{metric.name}_sum": set(metric.labels),
                # As prose calls them.
                metric.name: set(metric.labels),
            }
    for name, labels in SERIES.findall(page.read_text("utf-8")):
        if name not in known and not name.endswith(_ENDS):
            continue
        assert name in known, name
        used = set(re.findall(r"(\w+)\s*[=!]~?", labels))
        assert used <= known[name] | {"instance", "job"}, (name, used)
