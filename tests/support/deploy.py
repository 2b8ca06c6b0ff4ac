"""What the files of ``deploy/`` say, read as whoever runs them would."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


class Launch(NamedTuple):
    """A worker as one of the files starts it."""

    #: What comes after ``mailqueue``.
    arguments: list[str]
    settings: dict[str, str]
    #: Seconds between SIGTERM and SIGKILL.
    grace: float


def files() -> list[Path]:
    """All that is text and of ours; lock files are written by a tool."""
    return [
        path
        for path in sorted(DEPLOY.rglob("*"))
        if path.is_file() and not path.name.startswith("requirements") and path.name != ".env"
    ]


def compose(*variants: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """The services, with variants laid over and variables put in (unset ones as on a new machine).

    Args:
        variants: ``rabbitmq`` for ``compose.rabbitmq.yaml``.
        environment: What ``.env`` would say.
    """
    services: dict[str, Any] = {}
    for name in ("compose.yaml", *(f"compose.{variant}.yaml" for variant in variants)):
        read = yaml.safe_load((DEPLOY / name).read_text("utf-8"))["services"]
        for service, said in _filled(read, environment or {}).items():
            services[service] = _over(services.get(service, {}), said)
    return services


def _filled(value: Any, environment: dict[str, str]) -> Any:
    """Variables put in after the file is read, as Compose does: what they hold is text."""
    if isinstance(value, dict):
        return {key: _filled(each, environment) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, environment) for each in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: environment.get(found[1]) or found[2] or "", value)
    return value


def _over(base: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    both = {
        key: base[key] | said[key]
        for key in base.keys() & said.keys()
        if isinstance(base[key], dict)
    }
    return base | said | both


def manifests(*folders: str) -> Iterator[dict[str, Any]]:
    """Kubernetes' objects, of the base and of the components of these names."""
    for folder in (KUBERNETES, *(KUBERNETES / name for name in folders)):
        for path in sorted(folder.glob("*.yaml")):
            if path.name != "kustomization.yaml":
                yield from yaml.safe_load_all(path.read_text("utf-8"))


def manifest(kind: str, name: str, *folders: str) -> dict[str, Any]:
    (found,) = (
        each
        for each in manifests(*folders)
        if (each["kind"], each["metadata"]["name"]) == (kind, name)
    )
    return found


def unit(name: str) -> dict[str, list[str]]:
    """The lines of a unit by their name, in their order."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / "systemd" / name).read_text("utf-8").splitlines():
        key, is_set, value = line.partition("=")
        if is_set and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def variables(path: Path) -> dict[str, str]:
    """What an environment file sets."""
    lines = path.read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def _seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def compose_worker(*variants: str) -> Launch:
    service = compose(*variants)["worker"]
    return Launch(
        service["command"], service["environment"], _seconds(service["stop_grace_period"])
    )


def systemd_worker(instance: str = "9808") -> Launch:
    """The instance of this name, with the settings of the example."""
    found = unit("mailqueue-worker@.service")
    settings: dict[str, str] = {}
    for line in found["Environment"]:
        settings |= dict(each.split("=", 1) for each in line.replace("%i", instance).split())
    settings |= variables(DEPLOY / "systemd" / "worker.env.example")
    options = settings.pop("WORKER_OPTIONS").split()
    (start,) = found["ExecStart"]
    words = shlex.split(start.replace("%i", instance).replace("%H", "machine"))
    assert words[0] == "/opt/mailqueue/bin/mailqueue"
    assert words[-1] == "$WORKER_OPTIONS"
    return Launch([*words[1:-1], *options], settings, _seconds(found["TimeoutStopSec"][0]))


def kubernetes_worker() -> Launch:
    """The pod's, with the values of the example of a secret."""
    pod = manifest("Deployment", "mailqueue-worker")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    settings = dict(manifest("ConfigMap", "mailqueue-settings")["data"])
    secret = manifest("Secret", "mailqueue")["stringData"]
    for each in container["env"]:
        key = each["valueFrom"]["secretKeyRef"]["key"]
        if key in secret:
            settings[each["name"]] = secret[key]
    return Launch(container["args"], settings, pod["terminationGracePeriodSeconds"])


def workers() -> dict[str, Launch]:
    """Every worker that the files start."""
    return {
        "compose": compose_worker(),
        "compose with rabbitmq": compose_worker("rabbitmq"),
        "systemd": systemd_worker(),
        "kubernetes": kubernetes_worker(),
    }


class Step(NamedTuple):
    """An instruction of the Dockerfile."""

    verb: str
    text: str


def dockerfile() -> list[Step]:
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    whole = re.sub(r"\\\n", " ", "\n".join(lines))
    return [
        Step(*(part.strip() for part in line.split(None, 1)))
        for line in whole.splitlines()
        if line.strip()
    ]
