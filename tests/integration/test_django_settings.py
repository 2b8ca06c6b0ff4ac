"""Settings of Django: which of them count, what the checks say, MAILERS of Django 6.1."""

from pathlib import Path
from typing import Any

import django
import pytest
from support.processes import python

from mailqueue.celery_email import SAME

START = """
from django.conf import settings
settings.configure(INSTALLED_APPS=["mailqueue.contrib.django"], USE_TZ=True, **GIVEN)
import django
django.setup()
from django.core import checks, mail
from mailqueue.conf import get_settings
from mailqueue import celery_email
ids = lambda **options: sorted(found.id for found in checks.run_checks(**options)
                               if found.id.startswith("mailqueue."))
"""
QUEUE: dict[str, Any] = {"EMAIL_BACKEND": "mailqueue.contrib.django.EmailBackend"}
BROKER: dict[str, Any] = {"MAILQUEUE_BROKER_URL": "redis://r.example/0"}
needs_mailers = pytest.mark.skipif(
    django.VERSION < (6, 1),
    reason=f"MAILERS came with Django 6.1, here is {django.get_version()}; "
    "tests/acceptance/test_django_versions.py runs this where there is Python 3.12 or newer",
)


def run(program: str, environment: dict[str, str] | None = None, /, **given: Any) -> None:
    python(f"GIVEN = {given!r}\n{START}\n{program}", environment or {})


def test_what_nobody_set_in_django_gives_way_to_the_environment_and_to_our_defaults():
    run(
        """
found = get_settings()
assert (found.EMAIL_HOST, found.EMAIL_PORT) == ("from.env", 25)
assert found.EMAIL_TIMEOUT == 60.0
assert found.EMAIL_SUBJECT_PREFIX == "[Django] "
assert found.ADMINS == [("Ann", "ann@example.com")]
""",
        {"EMAIL_HOST": "from.env", "ADMINS": '[["Ann", "ann@example.com"]]'},
        **QUEUE,
    )


def test_what_somebody_set_counts_even_where_it_is_django_s_default():
    run(
        """
from django.test.utils import override_settings
found = get_settings()
assert (found.EMAIL_HOST, found.EMAIL_TIMEOUT) == ("localhost", None)
settings.EMAIL_PORT = 2525
assert get_settings().EMAIL_PORT == 2525
with override_settings(EMAIL_HOST="overridden"):
    assert get_settings().EMAIL_HOST == "overridden"
assert get_settings().EMAIL_HOST == "localhost"
""",
        {"EMAIL_HOST": "from.env", "EMAIL_PORT": "26"},
        EMAIL_HOST="localhost",
        EMAIL_TIMEOUT=None,
        **QUEUE,
    )


@pytest.mark.parametrize(
    ("given", "expected", "deploy"),
    [
        (QUEUE | BROKER, [], True),
        (QUEUE, [], False),
        (QUEUE, ["mailqueue.W003"], True),
        (BROKER, ["mailqueue.W005"], False),
        (BROKER | {"EMAIL_BACKEND": "djcelery_email.x.Y"}, ["mailqueue.W005"], False),
        (BROKER | {"EMAIL_BACKEND": "django.core.mail.backends.locmem.EmailBackend"}, [], False),
        (QUEUE | BROKER | {"EMAIL_TIMEOUT": None}, ["mailqueue.W015"], False),
        (QUEUE | BROKER | {"MAILQUEUE_BATCH_SIZE": 0}, ["mailqueue.E001"], False),
        (
            QUEUE | BROKER | {"MAILQUEUE_DELIVERY_BACKEND": QUEUE["EMAIL_BACKEND"]},
            ["mailqueue.E004"],
            False,
        ),
        (
            QUEUE | BROKER | {"CELERY_EMAIL_TASK_CONFIG": {"rate_limit": "5/m"}},
            ["mailqueue.W017"],
            False,
        ),
    ],
)
def test_checks(given, expected, deploy):
    run(
        f"assert ids(include_deployment_checks={deploy}) == {expected}, "
        f"ids(include_deployment_checks={deploy})",
        **given,
    )


def test_settings_of_django_celery_email_hold_where_ours_are_not_set():
    its: dict[str, Any] = {
        "CELERY_EMAIL_BACKEND": "anymail.backends.test.EmailBackend",
        "CELERY_EMAIL_CHUNK_SIZE": 7,
    }
    program = """
found = get_settings()
assert found.MAILQUEUE_DELIVERY_BACKEND == "anymail.backends.test.EmailBackend"
assert found.MAILQUEUE_BATCH_SIZE == SIZE, found
assert found.MAILQUEUE_QUEUE == "mailqueue"
told = dict(celery_email.without_effect(settings._wrapped))
assert [text for text in told if "beside" in text] == BESIDE, told
limit = told["CELERY_EMAIL_TASK_CONFIG: 'rate_limit' has no effect"]
assert "'700 messages/min'" in limit, limit
assert "MAILQUEUE_QUEUE" in told["CELERY_EMAIL_TASK_CONFIG: 'queue' has no effect"]
assert not any("ignore_result" in text for text in told)
"""
    config = {"queue": "email", "rate_limit": "100/m", "ignore_result": True}
    given: dict[str, Any] = {**QUEUE, **its, "CELERY_EMAIL_TASK_CONFIG": config}
    run(f"SIZE, BESIDE = 7, []\n{program}", **given)
    beside = ["CELERY_EMAIL_CHUNK_SIZE has no effect beside MAILQUEUE_BATCH_SIZE"]
    run(f"SIZE, BESIDE = 9, {beside}\n{program}", **given, MAILQUEUE_BATCH_SIZE=9)
    run(f"SIZE, BESIDE = 8, []\n{program}", {"MAILQUEUE_BATCH_SIZE": "8"}, **given)


def test_the_table_of_settings_says_what_is_taken_over():
    page = Path(__file__).parents[2] / "docs" / "migrating.md"
    for its, ours in SAME.items():
        assert f"| `{its}` | taken over as `{ours}`, unless that is set |" in page.read_text(
            "utf-8"
        )


def test_django_s_smtp_backend_delivers_with_our_time_out():
    run(
        """
from mailqueue import get_connection
made = get_connection("django.core.mail.backends.smtp.EmailBackend")
assert (made.host, made.timeout) == ("from.env", 60.0), vars(made)
""",
        {"EMAIL_HOST": "from.env"},
        **QUEUE,
    )


@needs_mailers
def test_mailers_take_options_and_say_which_there_are():
    run(
        """
from mailqueue import enqueuing
batches = []
with enqueuing.published_by(batches.extend):
    for alias in ("default", "urgent"):
        mail.send_mail("s", "b", "us@example.com", ["ann@example.com"], using=alias)
assert [item.priority for batch in batches for item in batch] == ["normal", "high"]
assert ids() == ["mailqueue.E016", "mailqueue.E016", "mailqueue.E016"], ids()
wrong = {"odd": "Unknown options 'hots'", "key": "of one call", "way": "the routes are"}
for alias, text in wrong.items():
    try:
        mail.mailers[alias]
    except (mail.InvalidMailer, ValueError) as error:
        assert text in str(error), error
    else:
        raise AssertionError(alias)
""",
        MAILERS={
            alias: QUEUE_MAILER | {"OPTIONS": options}
            for alias, options in {
                "default": {},
                "urgent": {"priority": "high", "expires": 60, "route": "default"},
                "odd": {"hots": "x"},
                "key": {"idempotency_key": "k"},
                "way": {"route": "nowhere"},
            }.items()
        },
        **BROKER,
    )


QUEUE_MAILER = {"BACKEND": QUEUE["EMAIL_BACKEND"]}


@needs_mailers
def test_with_mailers_a_worker_delivers_by_any_backend_of_django():
    run(
        """
from mailqueue import get_connection
made = get_connection("django.core.mail.backends.smtp.EmailBackend", host="h.example")
assert (made.host, made.port, made.timeout) == ("h.example", 2525, 60.0)
for name in ("console", "dummy", "locmem"):
    get_connection(f"django.core.mail.backends.{name}.EmailBackend")
get_connection("anymail.backends.test.EmailBackend")
assert get_settings().EMAIL_BACKEND == "mailqueue.contrib.django.EmailBackend"
""",
        {"EMAIL_PORT": "2525"},
        MAILERS={"default": QUEUE_MAILER},
    )


@needs_mailers
def test_admins_may_be_addresses_alone_as_django_6_has_them():
    run(
        """
import mailqueue
from mailqueue.testing import capturing
with capturing() as outbox:
    mailqueue.mail_admins("s", "b")
    mail.mail_admins("s", "b")
assert [message.to for message in outbox] == [["ann@example.com"]] * 2
""",
        MAILERS={"default": QUEUE_MAILER},
        ADMINS=["ann@example.com"],
    )


@needs_mailers
@pytest.mark.parametrize("backend", ["smtp", "console"])
def test_mailers_none_of_which_is_the_queue(backend):
    run(
        "assert ids() == ['mailqueue.W005'], ids()",
        MAILERS={"default": {"BACKEND": f"django.core.mail.backends.{backend}.EmailBackend"}},
        **BROKER,
    )
