"""The metrics as Prometheus reads them, in the format that it asks for."""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, get_args

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from mailqueue.failed import Reason
from mailqueue.metrics import names
from mailqueue.metrics.counts import counters, histograms
from mailqueue.metrics.names import COUNTED, Metric
from mailqueue.metrics.queue import Numbers

_INFINITE: Final = "+Inf"


def expose(
    accept: str,
    *,
    state_answers: bool,
    numbers: Numbers | None,
    fields: Mapping[str, int] | None,
) -> tuple[bytes, str]:
    """Write the metrics.

    Args:
        accept: The request's ``Accept`` header; empty: plain text.
        state_answers: Whether the state store does now.
        numbers: Of the queue; None: they are not known.
        fields: What the worker has counted; None: it is not known.

    Returns:
        The document, and its content type.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Found(state_answers, numbers, fields))
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


class _Found(Collector):
    """Hands over what was found."""

    def __init__(
        self, state_answers: bool, numbers: Numbers | None, fields: Mapping[str, int] | None
    ) -> None:
        self._state_answers = state_answers
        self._numbers = numbers
        self._fields = fields

    def collect(self) -> Iterator[Any]:
        """All metrics; what is not known is left out."""
        for metric in COUNTED if self._fields is not None else ():
            yield _counted(metric, self._fields or {})
        numbers = self._numbers
        broker_answers = numbers is not None and numbers.broker_answers
        yield _gauge(names.UP, [(("state",), self._state_answers), (("broker",), broker_answers)])
        if numbers is not None:
            yield from _of_the_broker(numbers)
            if self._state_answers:
                yield from _of_the_state_store(numbers)


def _counted(metric: Metric, fields: Mapping[str, int]) -> Any:
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, found in histograms(fields, metric).items():
            *bounds, (_, total) = found.buckets
            buckets = [*((str(bound), count) for bound, count in bounds), (_INFINITE, total)]
            histogram.add_metric(labels, buckets, found.sum)
        return histogram
    counter = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, count in counters(fields, metric).items():
        counter.add_metric(labels, count)
    return counter


def _gauge(metric: Metric, values: Iterable[tuple[tuple[str, ...], float | None]]) -> Any:
    gauge = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in values:
        if value is not None:
            gauge.add_metric(labels, float(value))
    return gauge


def _of_the_broker(numbers: Numbers) -> Iterator[Any]:
    queued = numbers.queued
    by_priority = queued.by_priority.items()
    yield _gauge(names.QUEUE_BATCHES, [((p,), one.batches) for p, one in by_priority])
    yield _gauge(names.QUEUE_MAILS, [((p,), one.messages) for p, one in by_priority])
    # Only Redis tells what is taken; it is the one that can tell how old the next one is.
    age = None if queued.taken is None else 0.0
    if queued.oldest_at is not None:
        age = max(0.0, time.time() - queued.oldest_at)
    yield _gauge(names.QUEUE_OLDEST, [((), age)])


def _of_the_state_store(numbers: Numbers) -> Iterator[Any]:
    found = numbers.overview
    if found is None:
        return
    waiting = found.waiting
    yield _gauge(names.IN_FLIGHT, [((), found.in_flight)])
    yield _gauge(
        names.WAITING,
        [
            (("scheduled",), waiting.scheduled),
            (("deferred",), waiting.deferred),
            (("other",), waiting.other),
            (("unsorted",), waiting.total if waiting.scheduled is None else 0),
        ],
    )
    yield _gauge(names.PARKED, [((route.route,), route.parked) for route in found.routes])
    reasons = dict.fromkeys(get_args(Reason), 0) | found.failed.by_reason
    yield _gauge(names.FAILED, [((reason,), total) for reason, total in reasons.items()])
    yield _gauge(
        names.ROUTE_PAUSED,
        [((route.route,), route.paused is not None) for route in found.routes],
    )
