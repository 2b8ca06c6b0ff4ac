"""Presets: what providers ask of those who send through them, as data.

A preset fills in what a route leaves open; whatever the route says itself wins. Figures that a
provider sets by account or plan, such as Amazon's sending rate, are none of a preset's: they belong
into the route. Each figure names the page that it was taken from, by its title.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

_MEBIBYTE: Final = 1024 * 1024


class Preset(NamedTuple):
    """One provider's server and pace. None, or empty: nothing is known, or nothing is asked."""

    #: None: it differs by region or account, so a route has to say it.
    host: str | None
    port: int = 587
    #: STARTTLS after connecting.
    use_tls: bool = True
    #: Whether the server lets nobody in without a login.
    login: bool = True
    #: As in a route: all of them hold.
    limits: tuple[str, ...] = ()
    #: Connections over all workers at the same time.
    concurrency: int | None = None
    #: Messages after which a connection is opened anew.
    messages_per_connection: int | None = None
    #: Seconds for which a connection may lie idle.
    idle_seconds: float | None = None
    #: Recipients that one message may have.
    recipients_per_message: int | None = None
    #: Bytes that one message may have, encoded.
    message_bytes: int | None = None


#: What holds where neither a route nor its preset says anything. Many relays stop after some
#: hundred messages, and close an idle connection after ten seconds when they are busy
#: (Postfix: "Postfix Stress-Dependent Configuration").
MESSAGES_PER_CONNECTION: Final = 50
IDLE_SECONDS: Final = 5.0

PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        "ses": Preset(
            # "Amazon Simple Email Service endpoints and quotas": email-smtp.REGION.amazonaws.com.
            host=None,
            # "Service quotas in Amazon SES": rate and daily quota are set by account, in
            # recipients; 50 recipients and 40 MB a message.
            recipients_per_message=50,
            message_bytes=40_000_000,
            # Not documented; sessions end after some hundred messages with "421 Maximum message
            # count per session reached", and after some ten idle seconds.
            messages_per_connection=100,
            idle_seconds=5.0,
        ),
        "sendgrid": Preset(
            # "Integrating with the SMTP API": the host; 5,000 messages a connection, 10,000
            # connections at a time, which is no limit in practice.
            host="smtp.sendgrid.net",
            messages_per_connection=5000,
            # "Mail Send: Limitations": 1,000 recipients, less than 30 MB. EHLO: SIZE 31457280.
            recipients_per_message=1000,
            message_bytes=30_000_000,
        ),
        "mailgun": Preset(
            # "Sending Messages" (user manual): the host; smtp.eu.mailgun.org for domains in the EU
            # region; 25 MB a message, although EHLO says SIZE 52428800; 1,000 recipients (batch
            # sending). Rate limits exist and are not published.
            host="smtp.mailgun.org",
            recipients_per_message=1000,
            message_bytes=25_000_000,
        ),
        "postmark": Preset(
            # "Sending email with SMTP": the host; 50 recipients and 10 MB a message.
            host="smtp.postmarkapp.com",
            recipients_per_message=50,
            message_bytes=10_000_000,
            # Not published; some ten connections at a time work.
            concurrency=10,
        ),
        "gmail": Preset(
            host="smtp.gmail.com",
            # "Limits for sending & getting mail": 500 recipients a day for a personal account.
            # "Gmail sending limits in Google Workspace": 2,000 messages a day, 100 recipients a
            # message by SMTP.
            limits=("500 recipients/day",),
            recipients_per_message=100,
            # "Send attachments with your Gmail message": 25 MB of attachments; what they are when
            # encoded is what EHLO says.
            message_bytes=35_882_577,
        ),
        "workspace-relay": Preset(
            # "Route outgoing SMTP relay messages through Google": the host; a login only where the
            # relay is not set to know the sender's network; 10,000 messages and 10,000 recipients
            # a day for each user, 100 recipients a message. EHLO: SIZE 35882577.
            host="smtp-relay.gmail.com",
            login=False,
            limits=("10000/day", "10000 recipients/day"),
            recipients_per_message=100,
            message_bytes=35_882_577,
        ),
        "microsoft365": Preset(
            # "Exchange Online limits": 30 messages a minute, 10,000 recipients a day, 500
            # recipients a message unless set otherwise. EHLO: SIZE 157286400.
            host="smtp.office365.com",
            limits=("30/min", "10000 recipients/day"),
            recipients_per_message=500,
            message_bytes=150 * _MEBIBYTE,
            # "Message storage and concurrent connection throttling for SMTP Authenticated
            # Submission": three connections at a time.
            concurrency=3,
        ),
        "postfix": Preset(
            # "Postfix Configuration Parameters": smtpd_client_connection_count_limit 50,
            # smtpd_recipient_limit 1000, message_size_limit 10240000; smtpd_timeout 300 s,
            # and 10 s under stress.
            host="localhost",
            port=25,
            use_tls=False,
            login=False,
            concurrency=50,
            messages_per_connection=500,
            recipients_per_message=1000,
            message_bytes=10_240_000,
        ),
    }
)
