"""A Django project: what sends mail in it, a worker by ``manage.py``, a real SMTP server."""

import email
import json
import os
import sys
from pathlib import Path

import pytest
from support.processes import environment, python, until, worker

SITE = Path(__file__).parents[1] / "integration"
MANAGE = "import sys; from django.core.management import execute_from_command_line as run; run()"


@pytest.fixture
def settings(redis_settings, smtp, tmp_path):
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "reset.txt").write_text("{{ protocol }} {{ token }}\n")
    (tmp_path / "templates" / "subject.txt").write_text("Reset\n")
    return redis_settings | {
        "DJANGO_SETTINGS_MODULE": "django_site.settings",
        "DJANGO_SITE_PLACE": str(tmp_path),
        "DJANGO_SITE_PORT": str(smtp.port),
        "PYTHONPATH": str(SITE),
        "EMAIL_HOST": "127.0.0.1",  # for MAILERS, beside which Django has no such names
        "EMAIL_PORT": str(smtp.port),
    }


SENDS = """
import logging
import django
django.setup()
from django.core import mail
from django.core.management import call_command
from django.db import transaction
call_command("migrate", verbosity=0)
from django.contrib.auth.models import User
from django.test import Client
User.objects.create_user("ann", "ann@example.com", "of-no-use")
with transaction.atomic():
    mail.send_mail("one", "b", None, ["ann@example.com"])
try:
    with transaction.atomic():
        mail.send_mail("undone", "b", None, ["ann@example.com"])
        raise LookupError
except LookupError:
    pass
mail.send_mass_mail([(f"mass {n}", "b", None, ["ann@example.com"]) for n in range(3)])
mail.mail_admins("to admins", "b")
client = Client(raise_request_exception=False)
assert client.get("/fails/").status_code == 500
assert client.post("/reset/", {"email": "ann@example.com"}).status_code == 302
"""


@pytest.mark.parametrize("mailers", ["", "yes"], ids=["EMAIL_BACKEND", "MAILERS"])
def test_all_that_django_sends_goes_through_the_queue(settings, smtp, tmp_path, mailers):
    import django

    if mailers and django.VERSION < (6, 1):
        pytest.skip(f"MAILERS came with Django 6.1, here is {django.get_version()}")
    settings |= {"DJANGO_SITE_MAILERS": mailers} if mailers else {}
    python(SENDS, settings)
    assert not smtp.received
    command = (sys.executable, "-c", MANAGE, "mailqueue", "worker")
    with worker(settings, tmp_path / "log", command=command) as running:
        until(lambda: len(smtp.received) >= 7, 30, lambda: running.log)
    subjects = sorted(
        str(email.message_from_bytes(one.content)["Subject"]) for one in smtp.received
    )
    assert subjects == [
        "Reset",
        "[Django] ERROR (EXTERNAL IP): Internal Server Error: /fails/",
        "[Django] to admins",
        "mass 0", "mass 1", "mass 2",
        "one",
    ]  # fmt: skip
    assert running.process.returncode == 0


LETTER = """
import django
django.setup()
from anymail.message import AnymailMessage
to = ["Ann <ann@example.com>", "rejected@example.com"]
letter = AnymailMessage("s", "b", "us@example.com", to)
letter.tags = ["welcome"]
letter.metadata = {"order": 7}
letter.merge_data = {"ann@example.com": {"name": "Ann"}}
letter.merge_global_data = {"site": "x"}
letter.esp_extra = {"ip_pool": {"name": "quick", "weights": [1, 2]}}
letter.track_opens = True
letter.track_clicks = False
letter.template_id = "t1"
letter.send()
"""


@pytest.mark.parametrize("command", ["mailqueue", "celery"])
def test_anymail_gets_what_was_written_and_its_answer_counts(settings, tmp_path, command):
    settings |= {"MAILQUEUE_DELIVERY_BACKEND": "django_site.backends.EmailBackend"}
    python(LETTER, settings)
    celery = (str(Path(sys.executable).parent / "celery"), "-A", "worker", "worker")
    start = celery if command == "celery" else ()
    told = tmp_path / "params.jsonl"
    with worker(settings, tmp_path / "log", command=start) as running:
        until(lambda: "DeliveryError" in running.log, 30, lambda: running.log)
    (params,) = map(json.loads, told.read_text().splitlines())
    expected = {
        "tags": ["welcome"],
        "metadata": {"order": 7},
        "merge_data": {"ann@example.com": {"name": "Ann"}},
        "merge_global_data": {"site": "x"},
        "ip_pool": {"name": "quick", "weights": [1, 2]},
        "track_opens": True,
        "track_clicks": False,
        "template_id": "t1",
    }
    assert {name: params.get(name) for name in expected} == expected
    listed = python(
        f"import sys; sys.argv[1:] = ['mailqueue', 'failed', 'list', '--json']; {MANAGE}", settings
    )
    assert json.loads(listed.stdout)["total"] == 1
    assert '"bounced"' in listed.stdout


def test_the_command_line_is_mirrored_with_its_exit_codes(settings):
    import subprocess

    def run(*words: str, **more: str):
        return subprocess.run(
            [sys.executable, "-c", MANAGE, *words],
            env=environment(settings | more), text=True, capture_output=True, check=False,
            timeout=60,
        )  # fmt: skip

    assert json.loads(run("mailqueue", "stats", "--json").stdout)["failed"]["total"] == 0
    assert run("mailqueue", "nonsense").returncode == 2
    assert run("mailqueue", "status", "0" * 32, "--settings", "django_site.settings").returncode < 2
    away = run("mailqueue", "stats", MAILQUEUE_REDIS_URL=f"redis://127.0.0.1:{os.getpid() % 9 + 1}")
    assert away.returncode == 1
    assert "Traceback" not in away.stderr
    helped = run("help", "mailqueue").stdout
    assert "worker" in helped
    assert "scheduled" in helped
    called = python(
        "import django; django.setup(); from django.core.management import call_command as c, "
        "CommandError\n"
        "c('mailqueue', 'stats', '--json')\n"
        "try: c('mailqueue', 'nonsense')\nexcept CommandError as e: assert e.returncode == 2\n"
        "else: raise AssertionError",
        settings,
    )
    assert "queued" in json.loads(called.stdout)


@pytest.mark.parametrize("program", ["mailqueue", "celery"])
def test_settings_that_cannot_be_loaded_are_told_in_a_sentence(settings, program):
    import subprocess

    words = {"mailqueue": ("stats",), "celery": ("-A", "worker", "worker")}[program]
    done = subprocess.run(
        [str(Path(sys.executable).parent / program), *words],
        env=environment(settings | {"DJANGO_SETTINGS_MODULE": "no.such"}),
        text=True, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "DJANGO_SETTINGS_MODULE" in done.stderr
    assert "Traceback" not in done.stderr
