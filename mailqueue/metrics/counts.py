"""A worker's counters and histograms: where they lie, so that they survive it.

They lie in the state store, in a hash for each worker, ``metrics:HOST:PORT`` behind the queue's
name. Its address is what Prometheus calls an instance, so a worker that is started again at the
same one goes on with its numbers, whatever ended it; and all processes and threads of a worker add
to the same ones. Each field is a metric's name and its labels' values, with ``|`` in between; a
histogram has a field for each upper bound, not cumulated, and one for the sum, in microseconds.

What came of a mail is counted in the step that records it (``lua/settle.lua``).
"""

import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final, NamedTuple

import redis

from mailqueue.conf import get_settings
from mailqueue.metrics.names import Metric
from mailqueue.state import key

#: Seconds after its last change for which the hash of a worker is kept.
KEPT: Final = 7 * 86_400
#: A histogram's fields beside its bounds.
ABOVE: Final = "inf"
SUM: Final = "sum"
_MICRO: Final = 1_000_000


class Counts(NamedTuple):
    """What to add to a worker's metrics."""

    instance: str
    #: By field.
    added: Mapping[str, int]

    def flat(self) -> Iterator[str | int]:
        """Each field, followed by what is added to it."""
        for name, count in self.added.items():
            yield name
            yield count


class Histogram(NamedTuple):
    """One histogram of one route, as it is exposed."""

    #: Each bound with all that was no longer; the last one is ``inf``.
    buckets: tuple[tuple[float, int], ...]
    #: Seconds.
    sum: float


def instance() -> str | None:
    """This worker's name among the metrics, ``HOST:PORT``; None where nothing is to be counted."""
    port = get_settings().MAILQUEUE_METRICS_PORT
    return None if port is None else f"{_host()}:{port}"


@cache
def _host() -> str:
    return socket.gethostname()


def key_of(name: str) -> str:
    """The key of an instance's hash."""
    return key("metrics", name)


def field(metric: Metric, *labels: str) -> str:
    """The field of a counter."""
    return "|".join((metric.name, *labels))


def observed(metric: Metric, seconds: float, *labels: str) -> Counter[str]:
    """What one observation adds to a histogram; a negative one, of clocks that differ, is 0."""
    seconds = max(0.0, seconds)
    bound = next((str(bound) for bound in metric.buckets if seconds <= bound), ABOVE)
    return Counter(
        {
            field(metric, *labels, bound): 1,
            field(metric, *labels, SUM): round(seconds * _MICRO),
        }
    )


def read(client: redis.Redis, name: str) -> dict[str, int]:
    """All fields of an instance. Raises what redis-py raises."""
    found: Any = client.hgetall(key_of(name))
    return {field.decode(): int(count) for field, count in found.items()}


def counters(fields: Mapping[str, int], metric: Metric) -> dict[tuple[str, ...], int]:
    """A counter's values by its labels."""
    return {
        tuple(labels): count
        for name, count in fields.items()
        for first, *labels in [name.split("|")]
        if first == metric.name and len(labels) == len(metric.labels)
    }


def histograms(fields: Mapping[str, int], metric: Metric) -> dict[tuple[str, ...], Histogram]:
    """A histogram's values by its labels.

    A bound of another version, which had other buckets, counts to the next one of this.
    """
    by_labels: dict[tuple[str, ...], dict[str, int]] = {}
    for name, count in fields.items():
        first, *rest = name.split("|")
        if first == metric.name and len(rest) == len(metric.labels) + 1:
            by_labels.setdefault(tuple(rest[:-1]), {})[rest[-1]] = count
    return {labels: _histogram(found, metric) for labels, found in by_labels.items()}


def _histogram(found: dict[str, int], metric: Metric) -> Histogram:
    total = found.pop(SUM, 0) / _MICRO
    at = {float(bound): count for bound, count in found.items()}
    bounds = (*metric.buckets, float(ABOVE))
    return Histogram(
        tuple((bound, sum(count for le, count in at.items() if le <= bound)) for bound in bounds),
        total,
    )
