"""Asking a worker's endpoint as Prometheus and a kubelet do."""

import urllib.error
import urllib.request
from collections import Counter
from typing import Any

from prometheus_client.parser import text_string_to_metric_families


def get(port: int, path: str) -> tuple[int, str]:
    """Status and body."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=15) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Scrape:
    """What ``/metrics`` said."""

    def __init__(self, *ports: int) -> None:
        self.text = ""
        self._samples: list[Any] = []
        for port in ports:
            status, text = get(port, "/metrics")
            assert status == 200, text
            self.text += text
            families = text_string_to_metric_families(text)
            self._samples += [sample for family in families for sample in family.samples]

    def sum(self, name: str, **labels: str) -> float:
        """Of all samples with these labels, over all ports."""
        return sum(self.values(name, **labels))

    def values(self, name: str, **labels: str) -> list[float]:
        return [
            sample.value
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def by(self, name: str, label: str) -> dict[str, float]:
        """Sums by a label's value, those that are 0 left out."""
        found: Counter[str] = Counter()
        for sample in self._samples:
            if sample.name == name:
                found[sample.labels[label]] += sample.value
        return {value: count for value, count in found.items() if count}
