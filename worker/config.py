"""How the worker is set up, and why. The part shared with producers is ``mailqueue.broker``."""

from typing import Any, Final

from mailqueue.broker import configuration as shared_configuration
from mailqueue.conf import get_settings
from mailqueue.contradictions import contradictions
from mailqueue.errors import ConfigurationError
from mailqueue.events import load_handler
from mailqueue.urls import AMQP_SCHEMES, scheme, state_url
from worker.policy_hook import decider

#: Seconds without an answer after which a connection to the broker counts as dead.
_LINE_TIMEOUT: Final = 10


def configuration() -> dict[str, Any]:
    """Celery's settings for a worker.

    Raises ``ConfigurationError`` where settings do not hold together, before anything is sent.
    """
    settings = get_settings()
    for found in contradictions(settings):
        if found.fatal:
            raise ConfigurationError(f"{found.text}; {found.remedy}")
    # Functions that settings name: a misspelt one is told now, not with the first mail.
    decider(settings.MAILQUEUE_POLICY)
    for path in settings.MAILQUEUE_EVENTS:
        load_handler(path)
    conf = shared_configuration(settings)
    state_url(settings)  # a worker without a state store could lose what it cannot send
    amqp = scheme(conf["broker_url"]) in AMQP_SCHEMES
    conf["broker_transport_options"] |= (
        # Heartbeats watch the line, but not while the main thread waits for the confirmation of an
        # event: on a line that is cut it would do so for ever. Waiting for mail is no such read.
        {"confirm_publish": True, "read_timeout": _LINE_TIMEOUT, "write_timeout": _LINE_TIMEOUT}
        if amqp
        else {
            # Without it, a worker facing a black hole hangs for minutes.
            "socket_timeout": _LINE_TIMEOUT,
            "socket_connect_timeout": 3,
            "health_check_interval": 10,
            # Kombu's 10 are too few for many threads that acknowledge at once.
            "max_connections": 1000,
            # Look for batches of dead workers every 5 s, not every 100.
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
        }
    )
    return conf | {
        # A batch is acknowledged after its outcomes are recorded; a killed process gives it back.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_acks_on_failure": True,
        "task_acks_on_timeout": False,
        # A batch a process, with RabbitMQ one of each priority: more would wait here while other
        # workers are idle, and what is urgent behind them.
        "worker_prefetch_multiplier": 1,
        # A lost broker connection does not make the mail being sent any less sent.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # A broker may be away for hours; a worker that gave up would need a person.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        "broker_heartbeat": 10 if amqp else 0,
        # For Flower. Not ``task_send_sent_event``: publishing that event after the task could
        # fail and make a queued mail look refused.
        "worker_send_task_events": True,
        "task_track_started": True,
        "worker_consumer": "worker.consumer:Consumer",
        "worker_hijack_root_logger": True,
        "worker_redirect_stdouts": False,
    }
