"""Which of the two ways the smoke tests go, and the line that says so."""

import os
from functools import cache
from typing import NamedTuple

import docker  # type: ignore[import-untyped]
import pytest
from docker.errors import DockerException  # type: ignore[import-untyped]
from pytest_docker_tools.utils import tests_inside_container  # type: ignore[import-untyped]

#: ``docker`` or ``local``; unset: Docker where an engine answers.
FORCED = "MAILQUEUE_TEST_SMOKE"


class Way(NamedTuple):
    """How containers are had."""

    docker: bool
    #: Why so, or with what.
    words: str

    def __str__(self) -> str:
        if self.docker:
            return f"smoke tests: {self.words}; this way was written without an engine at hand"
        return f"smoke tests: local processes ({self.words})"


@cache
def chosen() -> Way:
    """The way to go; asks Docker at the most once.

    Raises ``pytest.UsageError`` for a way that there is not.
    """
    forced = os.environ.get(FORCED, "")
    if forced == "local":
        return Way(docker=False, words=f"{FORCED}=local")
    if forced not in {"", "docker"}:
        raise pytest.UsageError(f"{FORCED} is {forced!r}; use docker or local, or unset it")
    version = _engine()
    if forced:
        return Way(docker=True, words=f"Docker {version or 'that does not answer'}")
    if not version:
        return Way(docker=False, words="no Docker engine answers")
    if tests_inside_container():
        # The ports that the engine publishes are its host's.
        return Way(docker=False, words="the tests run in a container themselves")
    return Way(docker=True, words=f"Docker {version}")


def _engine() -> str:
    """The engine's version; empty where none answers."""
    try:
        client = docker.from_env(timeout=3)
        try:
            return str(client.version()["Version"])
        finally:
            client.close()
    except (DockerException, OSError):
        return ""
