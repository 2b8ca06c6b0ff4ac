"""The Celery application that delivers. ``celery -A worker worker`` starts it.

Nothing is read or connected to on import: settings are looked at when Celery first asks for its
configuration.
"""

from worker.app import app

__all__ = ["app"]
