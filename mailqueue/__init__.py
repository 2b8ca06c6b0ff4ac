"""``django.core.mail`` with a queue behind it.

    from mailqueue import send_mail

    send_mail("Hello", "Good morning", "me@example.com", ["ann@example.com"])

puts a mail into a queue; ``mailqueue worker`` delivers it. Importing this package imports neither
Celery nor Django nor the worker.
"""

import sys

from mailqueue.attachments import (
    DEFAULT_ATTACHMENT_MIME_TYPE,
    EmailAlternative,
    EmailAttachment,
)
from mailqueue.conf import configure
from mailqueue.enqueuing import enqueue, warm_up
from mailqueue.errors import (
    BadHeaderError,
    ConfigurationError,
    DecodeError,
    DeliveryError,
    EncodeError,
    EnqueueError,
    MailQueueError,
    StateError,
)
from mailqueue.handles import Handle, statuses
from mailqueue.message import (
    EmailMessage,
    EmailMultiAlternatives,
    SafeMIMEMessage,
    SafeMIMEMultipart,
    SafeMIMEText,
    forbid_multi_line_headers,
    make_msgid,
    sanitize_address,
)
from mailqueue.outcomes import Status
from mailqueue.sending import (
    get_connection,
    mail_admins,
    mail_managers,
    send_mail,
    send_mass_mail,
)
from mailqueue.shared_outbox import PackageWithOutbox as _PackageWithOutbox
from mailqueue.utils import DNS_NAME, CachedDnsName

# `outbox`, a list of messages, is there once the locmem backend is used.
sys.modules[__name__].__class__ = _PackageWithOutbox

__all__ = [  # noqa: RUF022 - grouped: this is the table of contents
    # Messages
    "EmailMessage",
    "EmailMultiAlternatives",
    "EmailAttachment",
    "EmailAlternative",
    "DEFAULT_ATTACHMENT_MIME_TYPE",
    # Sending
    "send_mail",
    "send_mass_mail",
    "mail_admins",
    "mail_managers",
    "get_connection",
    # Queueing
    "enqueue",
    "Handle",
    "Status",
    "statuses",
    "warm_up",
    "configure",
    # Errors
    "MailQueueError",
    "ConfigurationError",
    "EnqueueError",
    "StateError",
    "EncodeError",
    "DecodeError",
    "DeliveryError",
    "BadHeaderError",
    # MIME and headers, by Django's names
    "SafeMIMEText",
    "SafeMIMEMultipart",
    "SafeMIMEMessage",
    "make_msgid",
    "DNS_NAME",
    "CachedDnsName",
    "forbid_multi_line_headers",
    "sanitize_address",
]
