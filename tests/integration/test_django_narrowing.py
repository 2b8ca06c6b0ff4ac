"""A mail whose recipients are settled one by one, through a backend that reads to, cc and bcc."""

from support.processes import python

PROGRAM = """
from django.conf import settings
settings.configure(USE_TZ=True, ANYMAIL={{}})
import django
django.setup()
import msgspec
from django.core import mail
from {module} import EmailBackend
from mailqueue.envelope import Envelope
from mailqueue.packing import pack_message
from support.clerks import deliver

message = mail.EmailMultiAlternatives(
    "s", "b", "us@example.com", ["Ann <ann@example.com>", "bob@example.com"],
    cc=["Carl <carl@example.com>"], bcc=["dora@example.com"],
    headers={{"To": "Everybody <all@example.com>"}} if {own_header} else {{}},
)
message.merge_data = {{"ann@example.com": {{"name": "Ann"}}}}
left = ("ann@example.com", "dora@example.com", "Extra@example.com")
envelope = msgspec.structs.replace(pack_message(message), recipients=left)
mail.outbox = []
outcomes = [one.status for one in deliver([Envelope.decode(envelope.encode())], EmailBackend())]
assert outcomes == ["sent"], outcomes
(sent,) = mail.outbox
"""


def run(module: str, checks: str, *, own_header: bool = False) -> None:
    python(PROGRAM.format(module=module, own_header=own_header) + checks, {"PYTHONPATH": "tests:."})


def test_a_backend_of_a_provider_s_api_gets_those_who_are_left_and_nobody_else():
    run(
        "anymail.backends.test",
        """
params = sent.anymail_test_params
fields = ("to", "cc", "bcc")
said = {name: [one.address for one in params.get(name, ())] for name in fields}
assert said == {
    "to": ["Ann <ann@example.com>"], "cc": [], "bcc": ["dora@example.com", "Extra@example.com"],
}, said
assert sent.recipients() == ["Ann <ann@example.com>", "dora@example.com", "Extra@example.com"]
assert params["merge_data"] == {"ann@example.com": {"name": "Ann"}}
""",
    )


def test_a_backend_that_asks_for_recipients_shows_all_that_the_mail_names():
    run(
        "django.core.mail.backends.locmem",
        """
assert sent.recipients() == ["ann@example.com", "dora@example.com", "Extra@example.com"]
assert sent.message()["To"] == "Ann <ann@example.com>, bob@example.com"
""",
    )


FINISHED = """
from django.conf import settings
settings.configure(USE_TZ=True, ANYMAIL={"POSTMARK_SERVER_TOKEN": "x"})
import django
django.setup()
import email.message
from anymail.backends.test import EmailBackend
from mailqueue.conversion import from_standard
from mailqueue.packing import pack_message
from support.clerks import deliver

message = email.message.EmailMessage()
message["From"], message["To"], message["Subject"] = "us@example.com", "ann@example.com", "s"
message.set_content("Signed, and not to be touched")
(judged,) = deliver([pack_message(from_standard(message))], EmailBackend())
assert judged.status == "bounced", judged
assert "fields" in judged.detail and "EmailBackend" in judged.detail, judged
"""


def test_finished_mime_is_not_sent_without_its_content():
    python(FINISHED, {"PYTHONPATH": "tests:."})
