"""Stands in for a Docker client where no engine answers, so that the same tests run everywhere.

pytest-celery has all its containers from one fixture, ``docker_client``. This has the part of it
that is used: networks and images are names, and a container is a process group (``container.py``)
with a program chosen by its image's name (``programs.py``). The programs are real; what is missing
is the isolation: no images, no networks, no file systems of their own.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from support.smoke.container import LocalContainer
from support.smoke.programs import PROGRAMS


class Image(NamedTuple):
    """An image that nobody built."""

    id: str


class Network(NamedTuple):
    """All are the loopback interface."""

    id: str
    name: str

    def remove(self) -> None:
        """There is nothing to remove."""


class LocalClient:
    """In place of ``docker.DockerClient``."""

    def __init__(self) -> None:
        self.containers = _Containers()
        self.networks = _Networks()
        self.images = _Images()

    def close(self) -> None:
        """End what a test left running."""
        for container in self.containers.all:
            container.remove(force=True)


class _Containers:
    def __init__(self) -> None:
        self.all: list[LocalContainer] = []

    def run(
        self,
        image: str,
        command: Sequence[str] = (),
        *,
        environment: Mapping[str, str] | None = None,
        network: str = "bridge",
        labels: dict[str, str] | None = None,
        **_unused: object,
    ) -> LocalContainer:
        program = PROGRAMS[image.partition(":")[0]](command, environment or {})
        container = LocalContainer(program, network, labels or {})
        self.all.append(container)
        container.start()
        return container


class _Networks:
    def create(self, name: str, **_unused: object) -> Network:
        return Network(uuid.uuid4().hex, name)


class _Images:
    def build(self, *, tag: str, **_unused: object) -> tuple[Image, Sequence[object]]:
        return Image(tag), ()
