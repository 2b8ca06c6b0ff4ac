"""Alerts ask for metrics and labels that workers have."""

import re

import pytest
import yaml
from support import deploy

from mailqueue.metrics.names import METRICS

GROUPS = yaml.safe_load((deploy.DEPLOY / "prometheus" / "alerts.yml").read_text("utf-8"))["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])


def series() -> dict[str, set[str]]:
    """What Prometheus makes of each metric, with its labels."""
    found: dict[str, set[str]] = {}
    for metric in METRICS:
        labels = set(metric.labels)
        if metric.kind == "histogram":
            found[f"{metric.name}_bucket"] = labels | {"le"}
            found |= {f"{metric.name}_{part}": labels for part in ("sum", "count")}
        else:
            found[metric.name] = labels
    return found


@each_rule
def test_it_asks_for_what_there_is(rule):
    known = series()
    names = set(re.findall(r"\bmailqueue_\w+", rule["expr"]))
    assert names
    assert names <= set(known)
    labels = set().union(*(known[name] for name in names))
    grouped = {
        label.strip()
        for inside in re.findall(r"\bby \(([^)]*)\)", rule["expr"])
        for label in inside.split(",")
    }
    matched = set(re.findall(r"[{,]\s*(\w+)\s*[!=]", rule["expr"]))
    assert grouped | matched <= labels
    # What an alert shows has to survive its aggregation.
    shown = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    assert shown <= grouped


@each_rule
def test_it_says_how_soon_and_what_to_do(rule):
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]


def test_names_are_told_apart():
    assert len({rule["alert"] for rule in RULES}) == len(RULES) >= 5


def test_prometheus_finds_workers_and_rules():
    found = yaml.safe_load((deploy.DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8"))
    assert [(deploy.DEPLOY / "prometheus" / name).exists() for name in found["rule_files"]] == [
        True
    ]
    (job,) = found["scrape_configs"]
    (names,) = job["dns_sd_configs"]
    settings = deploy.compose()["worker"]["environment"]
    assert names["names"] == ["worker"]
    assert names["port"] == int(settings["MAILQUEUE_METRICS_PORT"])
    assert "./prometheus:/etc/prometheus:ro" in deploy.compose()["prometheus"]["volumes"]
