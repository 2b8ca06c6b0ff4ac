"""What can be set: name, type, default and meaning of every setting, once.

``Settings`` is the reference; the table in the README is checked against it.
Where the values come from is ``conf.py``'s business.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from mailqueue.routing.route import Route

Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]  # a year; sockets take no infinity
Count = Annotated[int, Meta(ge=1)]
Delays = Annotated[tuple[Seconds, ...], Meta(min_length=1)]
Names = tuple[str, ...]


def _about(text: str) -> Meta:
    return Meta(description=text)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of one process. Made by ``get_settings()``; never changed, only replaced."""

    # How mail enters the queue, and how it leaves it.
    EMAIL_BACKEND: Annotated[
        str,
        _about("Backend that `send_mail()` uses; the default puts mail in the queue."),
    ] = "mailqueue.backends.queue.EmailBackend"
    MAILQUEUE_DELIVERY_BACKEND: Annotated[
        str,
        _about("Backend the worker delivers with: any class with Django's interface."),
    ] = "mailqueue.backends.smtp.EmailBackend"

    # The ways out.
    MAILQUEUE_ROUTES: Annotated[
        dict[str, Route],
        _about(
            "Named ways out, a table for each: server, login, limits … (environment: JSON, or the "
            "path of a `.toml` or `.json` file); see `docs/routes.md`. `default` is made of the "
            "`EMAIL_…` settings unless it is among them."
        ),
    ] = {}
    MAILQUEUE_ROUTER: Annotated[
        str | None,
        _about(
            "Dotted path of a function that is given each message when it is enqueued, and returns "
            "the name of its route, or None."
        ),
    ] = None
    MAILQUEUE_REDIRECT_ALL_TO: Annotated[
        str | None,
        _about("For staging: address that gets all mail, instead of whom it was written to."),
    ] = None
    MAILQUEUE_ALLOWED_DOMAINS: Annotated[
        Names,
        _about(
            "For staging: recipient domains to which mail may go, `*.example.com` with all below "
            "it (environment: with commas). Empty: all."
        ),
    ] = ()

    # The queue.
    MAILQUEUE_BROKER_URL: Annotated[
        str | None,
        _about(
            "Broker: `redis://`, `rediss://`, `redis+socket://`, `amqp://`, `amqps://`, or "
            "`embedded://`. Unset together with `MAILQUEUE_REDIS_URL`: the embedded Redis."
        ),
    ] = None
    MAILQUEUE_REDIS_URL: Annotated[
        str | None,
        _about("Redis that holds the state. Unset: the broker's, when that is a Redis."),
    ] = None
    MAILQUEUE_QUEUE: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9._-]{1,100}\Z"), _about("Name of the queue at the broker.")
    ] = "mailqueue"
    MAILQUEUE_BATCH_SIZE: Annotated[
        Count, _about("Messages that one task carries at the most.")
    ] = 50
    MAILQUEUE_BATCH_BYTES: Annotated[
        Count,
        _about("Bytes of encoded messages that one task carries; a larger message travels alone."),
    ] = 1_048_576
    MAILQUEUE_ENQUEUE_TIMEOUT: Annotated[
        Seconds,
        _about("Seconds without progress after which sending raises `EnqueueError`."),
    ] = 2.0
    MAILQUEUE_VISIBILITY_TIMEOUT: Annotated[
        Annotated[float, Meta(ge=3, le=86_400)],
        _about(
            "Seconds after which Redis hands the batch of a worker that died to another one. "
            "Workers that live renew it, however long a batch takes."
        ),
    ] = 60.0

    # What becomes of mail that cannot be sent at once.
    MAILQUEUE_RETRY_SCHEDULE: Annotated[
        Delays,
        _about(
            "Seconds before each further attempt of deferred mail (environment: with commas); the "
            "last one repeats. Each delay is drawn at random between 0 and its value."
        ),
    ] = (30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0)
    MAILQUEUE_MAX_AGE: Annotated[
        Seconds,
        _about(
            "Seconds after its first deferral when a mail is given up and kept in the failed store."
        ),
    ] = 86_400.0
    MAILQUEUE_ON_UNKNOWN: Annotated[
        Literal["resend", "hold"],
        _about(
            "When nobody can know whether a mail was sent: `resend` it, as mail servers do, or "
            "`hold` it in the failed store for a person."
        ),
    ] = "resend"
    MAILQUEUE_POLICY: Annotated[
        str | None,
        _about(
            "Dotted path of a function that is asked first what to do about a fault; see "
            "`docs/policy.md`."
        ),
    ] = None
    MAILQUEUE_EVENTS: Annotated[
        Names,
        _about(
            "Dotted paths of functions that are called with each event: a mail was enqueued, "
            "sent, deferred, bounced … (environment: with commas)."
        ),
    ] = ()
    MAILQUEUE_LEDGER_TTL: Annotated[
        Seconds,
        _about(
            "Seconds for which it is remembered that a mail was sent; also how long an "
            "`idempotency_key` holds."
        ),
    ] = 259_200.0
    MAILQUEUE_FAILED_MAX_AGE: Annotated[
        Seconds, _about("Seconds for which the failed store keeps a mail.")
    ] = 2_592_000.0
    MAILQUEUE_FAILED_MAX_COUNT: Annotated[
        Count, _about("Mails that the failed store keeps; the oldest make room, and it is logged.")
    ] = 100_000

    # The worker itself.
    MAILQUEUE_STOP_TIMEOUT: Annotated[
        Annotated[float, Meta(ge=0, le=86_400)],
        _about(
            "Seconds for which a worker that is told to stop goes on with the batches it has; the "
            "rest of them is handed back for other workers. No mail is broken off, so it may take "
            "the time of one mail longer."
        ),
    ] = 20.0
    MAILQUEUE_METRICS_PORT: Annotated[
        Annotated[int, Meta(ge=1, le=65535)] | None,
        _about(
            "Port at which the worker answers `/metrics` (Prometheus), `/live` and `/ready`. "
            "Unset: none."
        ),
    ] = None
    MAILQUEUE_METRICS_HOST: Annotated[
        str, _about("Address for that port; `0.0.0.0` in a container.")
    ] = "127.0.0.1"

    # In Django.
    MAILQUEUE_ON_COMMIT: Annotated[
        bool,
        _about(
            "With `mailqueue.contrib.django.EmailBackend`: mail sent within a transaction is "
            "enqueued when that is committed, and never if it is rolled back."
        ),
    ] = True

    # The SMTP server, by Django's names.
    EMAIL_HOST: Annotated[str, _about("SMTP server.")] = "localhost"
    EMAIL_PORT: Annotated[int, Meta(ge=1, le=65535), _about("SMTP server's port.")] = 25
    EMAIL_HOST_USER: Annotated[str, _about("User for SMTP AUTH; empty: no login.")] = ""
    EMAIL_HOST_PASSWORD: Annotated[str, _about("Password for SMTP AUTH. Never logged.")] = ""
    EMAIL_USE_TLS: Annotated[bool, _about("STARTTLS after connecting (usually port 587).")] = False
    EMAIL_USE_SSL: Annotated[bool, _about("TLS from the first byte (usually port 465).")] = False
    EMAIL_TIMEOUT: Annotated[
        Seconds | None, _about("Seconds that one SMTP operation may take.")
    ] = 60.0
    EMAIL_SSL_KEYFILE: Annotated[str | None, _about("Client certificate's key (PEM file).")] = None
    EMAIL_SSL_CERTFILE: Annotated[str | None, _about("Client certificate (PEM file).")] = None
    EMAIL_FILE_PATH: Annotated[Any, _about("Directory of the `filebased` backend.")] = None

    # What messages say unless told otherwise, by Django's names.
    DEFAULT_FROM_EMAIL: Annotated[str, _about("Sender of messages that name none.")] = (
        "webmaster@localhost"
    )
    SERVER_EMAIL: Annotated[str, _about("Sender of `mail_admins()` and `mail_managers()`.")] = (
        "root@localhost"
    )
    DEFAULT_CHARSET: Annotated[str, _about("Charset of messages that name none.")] = "utf-8"
    EMAIL_SUBJECT_PREFIX: Annotated[
        str, _about("Put before the subject by `mail_admins()` and `mail_managers()`.")
    ] = ""
    EMAIL_USE_LOCALTIME: Annotated[bool, _about("Date header in local time, not UTC.")] = False
    ADMINS: Annotated[
        Any, _about("Who gets `mail_admins()`: pairs of name and address (environment: JSON).")
    ] = ()
    MANAGERS: Annotated[
        Any, _about("Who gets `mail_managers()`: pairs of name and address (environment: JSON).")
    ] = ()

    def __repr__(self) -> str:
        """Name what differs from the defaults, without secrets: URLs carry passwords too."""
        shown = (
            f"{name}={'***' if name in SECRET else repr(value)}"
            for name in self.__struct_fields__
            if (value := getattr(self, name)) != getattr(DEFAULTS, name)
        )
        return f"Settings({', '.join(shown)})"


DEFAULTS: Final = Settings()
NAMES: Final = Settings.__struct_fields__
SECRET: Final = frozenset(
    {"EMAIL_HOST_PASSWORD", "MAILQUEUE_BROKER_URL", "MAILQUEUE_REDIS_URL", "MAILQUEUE_ROUTES"}
)
