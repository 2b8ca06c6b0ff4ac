"""For the tests of your application: mail without a broker.

With pytest, ask for the fixture ``mailqueue_outbox``; it is there once mailqueue is installed:

    def test_a_new_user_is_welcomed(client, mailqueue_outbox):
        client.post("/register", {"email": "ann@example.com"})
        assert_mail_enqueued(subject="Welcome", to=["ann@example.com"])
        assert "Good to have you" in mailqueue_outbox[0].body

With another test runner, ``with capturing() as outbox:`` does the same. ``with eager():`` delivers
each mail at once, in the caller's process, through ``MAILQUEUE_DELIVERY_BACKEND``.

``envelope_of(mailqueue_outbox[0])`` has the options that a mail was enqueued with, ``not_before``
for example. Handles answer without a state store.

In both cases a mail makes the whole way into an envelope and back, so what could not be queued
fails in the test as it would in production.
"""

from mailqueue.testing.assertions import assert_mail_enqueued, assert_no_mail_enqueued
from mailqueue.testing.modes import capturing, eager, envelope_of

__all__ = [
    "assert_mail_enqueued",
    "assert_no_mail_enqueued",
    "capturing",
    "eager",
    "envelope_of",
]
