"""mailqueue at home in Django: mail goes with the transaction, settings and commands are Django's.

    EMAIL_BACKEND = "mailqueue.contrib.django.EmailBackend"
    INSTALLED_APPS = [..., "mailqueue.contrib.django"]  # manage.py mailqueue, and system checks

The only part of mailqueue that imports Django.
"""

from mailqueue.contrib.django.backend import EmailBackend
from mailqueue.contrib.django.enqueuing import enqueue

__all__ = ["EmailBackend", "enqueue"]
