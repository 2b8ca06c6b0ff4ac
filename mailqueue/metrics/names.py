"""Every metric: its name, what it means, its labels. ``docs/monitoring.md`` is checked against it.

Labels hold names of routes, outcomes, reply codes: few, and none that comes from mail. No address,
no domain, no id.
"""

from typing import Final, Literal, NamedTuple

Kind = Literal["counter", "histogram", "gauge"]


class Metric(NamedTuple):
    """One metric."""

    name: str
    kind: Kind
    #: Its HELP line.
    help: str
    labels: tuple[str, ...] = ()
    #: A histogram's upper bounds in seconds; what is above them all is counted, too.
    buckets: tuple[float, ...] = ()


_QUEUE: Final = " Of the whole queue, the same on each worker: take max(), not sum()."
#: From a tenth of a second to a day: a password reset, a retry, a night of greylisting.
_DELIVERY: Final = (
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0
)  # fmt: skip
#: Up to the longest ``EMAIL_TIMEOUT`` that anybody should have.
_DIALOGUE: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

ACCEPTED: Final = Metric(
    "mailqueue_accepted_total",
    "counter",
    "Messages that a server took, for at least one recipient.",
    ("route",),
)
OUTCOMES: Final = Metric(
    "mailqueue_outcomes_total",
    "counter",
    "What came of each attempt at a mail, as the ledger has it: sent, deferred, bounced, expired, "
    "unknown.",
    ("route", "outcome"),
)
RECIPIENTS: Final = Metric(
    "mailqueue_recipients_total",
    "counter",
    "What came of each attempt, by recipient.",
    ("route", "outcome"),
)
DELIVERY: Final = Metric(
    "mailqueue_delivery_seconds",
    "histogram",
    "Seconds from enqueuing a mail, or from the time that its sender named, until it was sent.",
    ("route",),
    _DELIVERY,
)
CONNECTIONS: Final = Metric(
    "mailqueue_smtp_connections_total",
    "counter",
    "SMTP connections by what came of opening them: ok, unreachable, timeout, tls, refused, login.",
    ("route", "result"),
)
CONNECT: Final = Metric(
    "mailqueue_smtp_connect_seconds",
    "histogram",
    "Seconds until an SMTP connection was open: reached, secured, logged in.",
    ("route",),
    _DIALOGUE,
)
REPLY: Final = Metric(
    "mailqueue_smtp_reply_seconds",
    "histogram",
    "Seconds from the end of a message to the SMTP server's reply.",
    ("route",),
    _DIALOGUE,
)
REPLIES: Final = Metric(
    "mailqueue_smtp_replies_total",
    "counter",
    "SMTP replies by code: to the end of each message, each refusal, and refusals to connect.",
    ("route", "code"),
)

UP: Final = Metric(
    "mailqueue_up",
    "gauge",
    "1 where this worker's state store or broker answers, else 0.",
    ("what",),
)
QUEUE_BATCHES: Final = Metric(
    "mailqueue_queue_batches", "gauge", "Batches at the broker." + _QUEUE, ("priority",)
)
QUEUE_MAILS: Final = Metric(
    "mailqueue_queue_mails",
    "gauge",
    "Mails at the broker; not with RabbitMQ, which cannot tell." + _QUEUE,
    ("priority",),
)
QUEUE_OLDEST: Final = Metric(
    "mailqueue_queue_oldest_seconds",
    "gauge",
    "Age of the oldest mail that is next in line at the broker, 0 where none is; not with "
    "RabbitMQ, which cannot tell." + _QUEUE,
)
IN_FLIGHT: Final = Metric(
    "mailqueue_in_flight_mails",
    "gauge",
    "Mails in the batches that workers are busy with." + _QUEUE,
)
WAITING: Final = Metric(
    "mailqueue_waiting_mails",
    "gauge",
    "Mails that wait for their time: scheduled, deferred, other (on their way out); unsorted "
    "where they are too many to look at each." + _QUEUE,
    ("kind",),
)
PARKED: Final = Metric(
    "mailqueue_parked_mails", "gauge", "Mails that wait for their route." + _QUEUE, ("route",)
)
FAILED: Final = Metric(
    "mailqueue_failed_mails", "gauge", "Mails in the failed store." + _QUEUE, ("reason",)
)
ROUTE_PAUSED: Final = Metric(
    "mailqueue_route_paused", "gauge", "1 where the route is paused, else 0." + _QUEUE, ("route",)
)

#: Of each worker; they survive its restart.
COUNTED: Final = (
    ACCEPTED, OUTCOMES, RECIPIENTS, DELIVERY, CONNECTIONS, CONNECT, REPLY, REPLIES,
)  # fmt: skip
GAUGES: Final = (
    UP, QUEUE_BATCHES, QUEUE_MAILS, QUEUE_OLDEST, IN_FLIGHT, WAITING, PARKED, FAILED, ROUTE_PAUSED,
)  # fmt: skip
METRICS: Final = (*COUNTED, *GAUGES)
