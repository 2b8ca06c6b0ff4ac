"""mailqueue in FastAPI: ``FastAPI(lifespan=lifespan)``; ``starlette.py`` says the rest."""

from mailqueue.contrib.starlette import lifespan

__all__ = ["lifespan"]
