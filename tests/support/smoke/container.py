"""A container as pytest-docker-tools sees it, around a process group of this machine."""

import signal as signals
import socket
import uuid
from contextlib import closing
from typing import Any

from support.outages import LOCALHOST
from support.smoke.programs import Program

_LISTENS = "0A"


class LocalContainer:
    """The part of ``docker.models.containers.Container`` that pytest-docker-tools uses.

    There is no network of its own: its published ports are those that it listens on, and the name
    by which other containers reach it has the port with it.
    """

    def __init__(self, program: Program, network: str, labels: dict[str, str]) -> None:
        self.id = uuid.uuid4().hex
        self.name = f"local-{self.id[:12]}"
        self._program = program
        self._network = network
        self._labels = labels
        self._removed = False

    @property
    def status(self) -> str:
        return "running" if self._program.ended() is None else "exited"

    @property
    def attrs(self) -> dict[str, Any]:
        ports = self._program.ports
        published = {
            f"{inner}/tcp": [{"HostIp": LOCALHOST, "HostPort": str(outer)}]
            for inner, outer in ports.items()
        }
        hosts = [f"{LOCALHOST}:{outer}" for outer in ports.values()]
        return {
            "Config": {"Hostname": hosts[0] if hosts else self.id[:12], "Labels": self._labels},
            "State": {"Status": self.status, "ExitCode": self._program.ended() or 0},
            "HostConfig": {"PortBindings": published},
            "NetworkSettings": {
                "Networks": {self._network: {"IPAddress": LOCALHOST}},
                "Ports": published,
            },
        }

    def start(self) -> None:
        """Start it and wait, since pytest-docker-tools would look once a second only."""
        self._program.start()

    def stop(self, timeout: float = 10) -> None:
        self._program.stop(timeout)

    def restart(self, timeout: float = 10) -> None:
        self._program.stop(timeout)
        self._program.start()

    def kill(self, signal: str | int | None = None) -> None:
        signal = signal or "SIGKILL"
        named = signals.Signals[signal] if isinstance(signal, str) else signal
        self._program.kill(named)

    def remove(self, *, force: bool = False) -> None:
        assert force or self._program.ended() is not None, "it runs"
        if not self._removed:
            self._removed = True
            self._program.close()

    def logs(self) -> bytes:
        return self._program.log()

    def reload(self) -> None:
        """Nothing is remembered here."""

    def exec_run(self, command: str) -> tuple[int, bytes]:
        """Answer the one question that pytest-docker-tools asks: which ports are listened on."""
        assert command.startswith("cat /proc/net/"), command
        lines = [
            f"0: 0100007F:{inner:04X} 00000000:0000 {_LISTENS}"
            for inner, outer in self._program.ports.items()
            if command.startswith("cat /proc/net/tcp") and _listens(outer)
        ]
        return 0, "\n".join(lines).encode()


def _listens(port: int) -> bool:
    with closing(socket.socket()) as client:
        client.settimeout(2)
        return client.connect_ex((LOCALHOST, port)) == 0
