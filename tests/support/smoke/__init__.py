"""Where pytest-celery's containers run: over Docker, or as processes of this machine."""
