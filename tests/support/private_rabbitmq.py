"""A RabbitMQ node of a test's own, to stop, kill and start again with its data.

It shares nothing with a node that the machine runs: its name, ports, directories, cookie and epmd
are its own, it reads no system configuration, and it has no plugins.
"""

import os
import shutil
import subprocess
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Self

import amqp
import pytest

from support import leash
from support.outages import LOCALHOST, fixed_port
from support.processes import until

#: What Debian's ``rabbitmq-server`` on the path wraps. The wrapper only serves root and the user
#: rabbitmq, and as the latter, who cannot write into our directories; this serves everyone.
UNWRAPPED = "/usr/lib/rabbitmq/bin/rabbitmq-server"


def private_rabbitmq_trouble() -> str | None:
    """Why a private RabbitMQ cannot be had; None where it can."""
    missing = [name for name in ("rabbitmq-server", "erl", "epmd") if not shutil.which(name)]
    return f"no private RabbitMQ: {', '.join(missing)} not on the path" if missing else None


def require_private_rabbitmq() -> None:
    """Skip the test, with the reason, where there can be none; in CI, fail it."""
    trouble = private_rabbitmq_trouble()
    if trouble and os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(f"{trouble}; CI has to provide it")
    if trouble:
        pytest.skip(trouble)


class PrivateRabbitMQ:
    """Takes some seconds to start, so tests had better share one where they can.

    Attributes:
        url: For the guest user, over the loopback interface.
        node: The Erlang node's name.
    """

    def __init__(self) -> None:
        self.port = fixed_port()
        self.url = f"amqp://guest:guest@{LOCALHOST}:{self.port}//"
        self.node = f"outage-{uuid.uuid4().hex[:12]}@localhost"
        self._directory = tempfile.TemporaryDirectory(prefix="mq", ignore_cleanup_errors=True)
        self._home = Path(self._directory.name)
        self._epmd_port = fixed_port()
        self._environment = self._settings()
        self._epmd: subprocess.Popen[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        # Erlang would start an epmd by itself, and leave it behind.
        self._epmd = subprocess.Popen(
            ["epmd", "-port", str(self._epmd_port), "-address", LOCALHOST], env=self._environment
        )
        leash.hold(self._epmd)
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()
        if self._epmd:
            self._epmd.terminate()
            self._epmd.wait(10)
            leash.release(self._epmd)
        self._directory.cleanup()

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        path = self._home / "log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def start(self) -> None:
        """Start on the same ports and data; return when it takes connections."""
        assert self._process is None, "it runs"
        found = UNWRAPPED if Path(UNWRAPPED).exists() else "rabbitmq-server"
        with (self._home / "log").open("ab") as log:
            self._process = process = subprocess.Popen(
                [found],
                env=self._environment,
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # no Ctrl-C of ours, which it would ignore
            )
        leash.hold(process)
        until(lambda: process.poll() is not None or self._serves(), 60, lambda: self.log[-3000:])
        assert process.poll() is None, self.log[-3000:]

    def stop(self) -> None:
        """Shut it down in order, which is what it does on SIGTERM."""
        if self._process:
            self._process.terminate()
            self._process.wait(60)
            leash.release(self._process)
            self._process = None

    def kill(self) -> None:
        """SIGKILL; nothing where it does not run.

        A quorum queue declared within the last half second is lost with all it holds, confirmed or
        not: RabbitMQ 3 writes the names of new ones that late. Wait longer after declaring it.
        """
        if self._process:
            self._process.kill()
            self._process.wait()
            leash.release(self._process)
            self._process = None

    def restart(self) -> None:
        """Stop in order and start again."""
        self.stop()
        self.start()

    def _serves(self) -> bool:
        with suppress(OSError, amqp.AMQPError):
            with amqp.Connection(f"{LOCALHOST}:{self.port}", connect_timeout=5) as connection:
                connection.connect()
            return True
        return False

    def _settings(self) -> dict[str, str]:
        files = {
            "CONFIG_FILE": ("rabbitmq.conf", f"listeners.tcp.local = {LOCALHOST}:{self.port}\n"),
            "CONF_ENV_FILE": ("env.conf", ""),
            "ADVANCED_CONFIG_FILE": ("advanced.config", "[]."),
            "ENABLED_PLUGINS_FILE": ("enabled_plugins", "[]."),
        }
        for name, content in files.values():
            (self._home / name).write_text(content)
        own = {name: str(self._home / file) for name, (file, _) in files.items()} | {
            "NODENAME": self.node,
            "NODE_PORT": str(self.port),
            "DIST_PORT": str(fixed_port()),
            "MNESIA_BASE": str(self._home / "mnesia"),
            "LOG_BASE": str(self._home / "logs"),
            "LOGS": "-",  # to where its output goes, with what Erlang itself says
            "SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RABBITMQ_", "ERL_"))
        }
        return (
            inherited
            | {f"RABBITMQ_{name}": value for name, value in own.items()}
            | {
                "RUNNING_UNDER_SYSTEMD": "1",  # the script becomes the server, no shell between
                "HOME": str(self._home),  # for the cookie
                "ERL_EPMD_PORT": str(self._epmd_port),
                "ERL_EPMD_ADDRESS": LOCALHOST,
            }
        )
