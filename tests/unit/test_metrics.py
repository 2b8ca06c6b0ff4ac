import threading
from collections import Counter
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from mailqueue import conf
from mailqueue.desk.overview import FailedCounts, Overview, RouteCounts
from mailqueue.desk.queue_length import PriorityLength, QueueLength
from mailqueue.desk.waiting import Kinds
from mailqueue.envelope import Envelope
from mailqueue.failed import Reason
from mailqueue.message import EmailMessage
from mailqueue.metrics import names
from mailqueue.metrics.counts import (
    Counts,
    counters,
    field,
    histograms,
    instance,
    key_of,
    observed,
)
from mailqueue.metrics.exposition import expose
from mailqueue.metrics.names import DELIVERY, METRICS, OUTCOMES, Metric
from mailqueue.metrics.queue import Latest, Numbers
from mailqueue.outcomes import Fault, Stage, Status
from mailqueue.packing import pack_message
from mailqueue.routes import Paused
from worker.judging import Group, Judgement
from worker.metrics import Meter, meter_for

#: Whatever else a label could hold comes from mail, or is without end.
LABELS = {"route", "outcome", "result", "code", "what", "priority", "kind", "reason"}


def envelope(**changes: Any) -> Envelope:
    packed = pack_message(EmailMessage("s", "b", "a@example.com", ["b@example.com"]))
    return Envelope.decode(packed.encode()) if not changes else _changed(packed, **changes)


def _changed(packed: Envelope, **changes: Any) -> Envelope:
    import msgspec

    return msgspec.structs.replace(packed, **changes)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_keeps_to_the_customs(metric: Metric) -> None:
    assert metric.name.startswith("mailqueue_")
    assert metric.help.endswith(".")
    assert set(metric.labels) <= LABELS
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.name.endswith("_seconds") or metric.kind != "histogram"
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))


def test_no_two_metrics_have_one_name() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)


@given(st.lists(st.floats(-10, 200_000), min_size=1))
def test_a_histogram_has_each_observation_in_its_bucket(seconds: list[float]) -> None:
    fields: Counter[str] = Counter()
    for one in seconds:
        fields += observed(DELIVERY, one, "default")
    found = histograms(fields, DELIVERY)[("default",)]
    # What clocks make negative counts as none.
    real = [max(0.0, one) for one in seconds]
    assert found.buckets == tuple(
        (bound, sum(one <= bound for one in real)) for bound in (*DELIVERY.buckets, float("inf"))
    )
    assert found.sum == pytest.approx(sum(real), abs=1e-6 * len(seconds))


def test_bounds_of_another_version_count_to_the_next_one() -> None:
    fields = {field(DELIVERY, "default", "0.3"): 2, field(DELIVERY, "default", "1e9"): 1}
    buckets = dict(histograms(fields, DELIVERY)[("default",)].buckets)
    assert (buckets[0.25], buckets[0.5], buckets[86400.0], buckets[float("inf")]) == (0, 2, 2, 3)


def test_fields_of_other_metrics_and_versions_are_left_alone() -> None:
    fields = {
        field(OUTCOMES, "a", "sent"): 3,
        "mailqueue_outcomes_total|a": 1,
        "mailqueue_outcomes_total|a|sent|more": 1,
        "mailqueue_other_total|a|sent": 1,
    }
    assert counters(fields, OUTCOMES) == {("a", "sent"): 3}
    assert histograms(fields, DELIVERY) == {}


def test_nothing_is_counted_without_a_port_and_each_address_counts_for_itself() -> None:
    assert instance() is None
    assert meter_for("default") is None
    conf.configure(MAILQUEUE_METRICS_PORT=9808)
    first = instance() or ""
    assert first.endswith(":9808")
    assert key_of(first) == f"mailqueue:metrics:{first}"
    conf.configure(MAILQUEUE_METRICS_PORT=9809)
    assert instance() != first


def attempt(judgement: Judgement, now: float = 100.0, **changes: Any) -> dict[str, int]:
    changes = {"enqueued_at": 97.0} | changes
    return dict(Meter("one:1", "r").attempt(envelope(**changes), judgement, 3, now))


def test_a_mail_that_was_sent_is_counted_with_its_time() -> None:
    found = attempt(Judgement(Status.SENT, served=3))
    assert found == {
        "mailqueue_outcomes_total|r|sent": 1,
        "mailqueue_accepted_total|r": 1,
        "mailqueue_recipients_total|r|sent": 3,
        "mailqueue_delivery_seconds|r|5.0": 1,
        "mailqueue_delivery_seconds|r|sum": 3_000_000,
    }


def test_a_mail_for_later_is_not_late_before_its_time() -> None:
    found = attempt(Judgement(Status.SENT, served=3), not_before=99.5)
    assert found["mailqueue_delivery_seconds|r|sum"] == 500_000


def test_recipients_who_fare_differently_are_counted_each() -> None:
    fault = Fault(Stage.RECIPIENT, 550, "no")
    groups = (
        Group(Status.BOUNCED, ("x@example.com",), fault),
        Group(Status.DEFERRED, ("y@example.com",), fault),
    )
    assert attempt(Judgement(Status.DEFERRED, served=1, groups=groups)) == {
        "mailqueue_outcomes_total|r|deferred": 1,
        "mailqueue_accepted_total|r": 1,
        "mailqueue_recipients_total|r|sent": 1,
        "mailqueue_recipients_total|r|bounced": 1,
        "mailqueue_recipients_total|r|deferred": 1,
    }


def test_what_concerns_all_is_counted_for_all() -> None:
    groups = (Group(Status.BOUNCED, (), Fault(Stage.DATA, 554, "no")),)
    assert attempt(Judgement(Status.BOUNCED, groups=groups)) == {
        "mailqueue_outcomes_total|r|bounced": 1,
        "mailqueue_recipients_total|r|bounced": 3,
    }


def test_what_was_observed_travels_until_it_is_recorded() -> None:
    meter = Meter("one:1", "r")
    meter.opened(0.02)
    meter.not_opened("login", 535)
    meter.not_opened("unreachable", 0)
    meter.refused(-1)
    meter.answered(250, 0.5)
    expected = {
        "mailqueue_smtp_connections_total|r|ok": 1,
        "mailqueue_smtp_connect_seconds|r|0.025": 1,
        "mailqueue_smtp_connect_seconds|r|sum": 20_000,
        "mailqueue_smtp_connections_total|r|login": 1,
        "mailqueue_smtp_replies_total|r|535": 1,
        "mailqueue_smtp_connections_total|r|unreachable": 1,
        "mailqueue_smtp_replies_total|r|other": 1,
        "mailqueue_smtp_replies_total|r|250": 1,
        "mailqueue_smtp_reply_seconds|r|0.5": 1,
        "mailqueue_smtp_reply_seconds|r|sum": 500_000,
    }
    assert meter.counts() == meter.counts() == Counts("one:1", expected)
    assert meter.counts(Counter({"x": 2})).added == expected | {"x": 2}
    meter.counted()
    assert list(meter.counts().flat()) == []


def overview(queued: QueueLength, **changes: Any) -> Overview:
    found: dict[str, Any] = {
        "queued": queued,
        "in_flight": 7,
        "waiting": Kinds(3, 1, 1, 1),
        "failed": FailedCounts(2, {"gave up": 2}, 1.0, 0),
        "routes": [
            RouteCounts("default", None, 0, {}),
            RouteCounts("ses", Paused("ses", "login", "535 secret@example.com", 0.0, None), 4, {}),
        ],
    }
    return Overview(**found | changes)


RABBITMQ = QueueLength(2, by_priority={"high": PriorityLength(0), "normal": PriorityLength(2)})


def exposed(**found: Any) -> dict[tuple[str, ...], float]:
    """What is exposed, by name and the labels' values."""
    given: dict[str, Any] = {"state_answers": True, "numbers": None, "fields": {}}
    document, content_type = expose("", **given | found)
    assert content_type.startswith("text/plain")
    text = document.decode()
    assert "@" not in text
    families = list(text_string_to_metric_families(text))
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_what_rabbitmq_cannot_tell_is_left_out() -> None:
    found = exposed(numbers=Numbers(overview(RABBITMQ), RABBITMQ))
    assert found[names.QUEUE_BATCHES.name, "normal"] == 2
    assert names.QUEUE_MAILS.name not in {name for name, *_ in found}
    assert names.QUEUE_OLDEST.name not in {name for name, *_ in found}
    assert found[names.UP.name, "broker"] == found[names.UP.name, "state"] == 1
    assert found[names.IN_FLIGHT.name,] == 7
    assert found[names.PARKED.name, "ses"] == 4
    assert (found[names.ROUTE_PAUSED.name, "ses"], found[names.ROUTE_PAUSED.name, "default"]) == (
        1, 0,
    )  # fmt: skip
    failed = {label: value for (name, *rest), value in found.items() for label in rest
              if name == names.FAILED.name}  # fmt: skip
    assert failed == dict.fromkeys(get_args(Reason), 0) | {"gave up": 2}


def test_prometheus_gets_the_format_that_it_asks_for() -> None:
    fields = observed(DELIVERY, 0.3, "default") + Counter({field(OUTCOMES, "default", "sent"): 1})
    document, content_type = expose(
        "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
        state_answers=True,
        numbers=Numbers(overview(RABBITMQ), RABBITMQ),
        fields=fields,
    )
    assert content_type.startswith("application/openmetrics-text")
    samples = {
        sample.name: sample.value
        for family in openmetrics(document.decode())
        for sample in family.samples
    }
    assert samples["mailqueue_outcomes_total"] == 1
    assert samples["mailqueue_delivery_seconds_count"] == 1
    assert samples["mailqueue_in_flight_mails"] == 7


def test_an_empty_redis_has_no_old_mail() -> None:
    empty = QueueLength(0, 0, taken=0, by_priority={"normal": PriorityLength(0, 0)})
    found = exposed(numbers=Numbers(overview(empty), empty))
    assert found[names.QUEUE_OLDEST.name,] == 0
    assert found[names.QUEUE_MAILS.name, "normal"] == 0


def test_what_is_too_much_to_sort_is_told_unsorted() -> None:
    found = exposed(numbers=Numbers(overview(RABBITMQ, waiting=Kinds(30_000)), RABBITMQ))
    kinds = {key[1]: value for key, value in found.items() if key[0] == names.WAITING.name}
    assert kinds == {"unsorted": 30_000}


@pytest.mark.parametrize(
    "numbers", [None, Numbers(None, QueueLength(trouble="redis://host does not answer"))]
)
def test_who_is_away_is_0_and_the_rest_is_left_out(numbers: Numbers | None) -> None:
    found = exposed(state_answers=False, numbers=numbers, fields=None)
    assert found == {(names.UP.name, "state"): 0, (names.UP.name, "broker"): 0}


def test_a_broker_is_told_where_the_state_store_is_away() -> None:
    found = exposed(state_answers=False, numbers=Numbers(None, RABBITMQ), fields=None)
    assert found[names.UP.name, "broker"] == 1
    assert found[names.QUEUE_BATCHES.name, "normal"] == 2


def test_what_was_counted_a_moment_ago_will_do() -> None:
    now, counted = [0.0], [0]
    numbers = Numbers(overview(RABBITMQ), RABBITMQ)

    def count() -> Numbers:
        counted[0] += 1
        now[0] += 1.0  # it takes a second
        return numbers

    latest = Latest(count, clock=lambda: now[0])
    assert latest.get() is numbers
    now[0] += 49.0
    assert latest.get() is numbers
    assert counted == [1], "what takes a second is done once in 50"
    now[0] += 2.0
    latest.get()
    assert counted == [2]


def test_trouble_is_looked_at_again_soon() -> None:
    now, counted = [0.0], [0]

    def count() -> Numbers:
        counted[0] += 1
        now[0] += 6.0
        return Numbers(None, QueueLength(trouble="away"))

    latest = Latest(count, clock=lambda: now[0])
    latest.get()
    now[0] += 5.0
    latest.get()
    assert counted == [2]


def test_nobody_waits_for_long() -> None:
    go_on = threading.Event()
    numbers = Numbers(overview(RABBITMQ), RABBITMQ)

    def count() -> Numbers:
        assert go_on.wait(30)
        return numbers

    latest = Latest(count)
    assert latest.get(patience=0.0) is None
    go_on.set()
    assert latest.get(patience=30.0) is numbers


def test_a_fault_in_counting_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    now, answers = [0.0], [Numbers(None, RABBITMQ)]

    def count() -> Numbers:
        return answers.pop() if now[0] else 1 // 0  # type: ignore[return-value]

    latest = Latest(count, clock=lambda: now[0])
    assert latest.get() is None
    now[0] = 6.0
    assert latest.get() is not None
