"""``AnymailMessage``: what nobody set on it stays behind."""

from support.processes import python


def test_an_anymail_message_travels_with_what_was_set():
    python(
        """
from django.conf import settings
settings.configure()
import django
django.setup()
from anymail.message import AnymailMessage
from mailqueue.packing import pack_message
letter = AnymailMessage("s", "b", "us@example.com", ["ann@example.com"], tags=["a"])
letter.metadata = {"order": 7}
extra = pack_message(letter).extra
assert extra == {"tags": ["a"], "metadata": {"order": 7}}, extra
""",
        {},
    )
