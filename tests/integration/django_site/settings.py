"""A Django project for tests: every part of Django that sends mail, and two databases."""

import os
from pathlib import Path

import django

PLACE = Path(os.environ["DJANGO_SITE_PLACE"])
SECRET_KEY = "of-no-use"
DEBUG = False
ALLOWED_HOSTS = ["testserver"]
ROOT_URLCONF = "django_site.urls"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "mailqueue.contrib.django",
]
DATABASES = {
    name: {"ENGINE": "django.db.backends.sqlite3", "NAME": PLACE / f"{name}.sqlite3"}
    for name in ("default", "other")
}
TEMPLATES = [
    {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [PLACE / "templates"]}
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
USE_TZ = True
DEFAULT_FROM_EMAIL = "us@example.com"
SERVER_EMAIL = "server@example.com"
ADMINS = ["admin@example.com"] if django.VERSION >= (6, 0) else [("Admin", "admin@example.com")]
MAILQUEUE_RETRY_SCHEDULE = [1]
if os.environ.get("DJANGO_SITE_MAILERS"):
    QUEUE = "mailqueue.contrib.django.EmailBackend"
    MAILERS = {
        "default": {"BACKEND": QUEUE},
        "urgent": {"BACKEND": QUEUE, "OPTIONS": {"priority": "high", "expires": 3600}},
    }
else:
    EMAIL_BACKEND = "mailqueue.contrib.django.EmailBackend"
    EMAIL_HOST = "127.0.0.1"
    EMAIL_PORT = int(os.environ.get("DJANGO_SITE_PORT", "25"))
