"""deploy/ before those who will read it: systemd, kustomize, Kubernetes' schemas, Compose.

Where a tool is missing, the test is skipped and says which; no engine or cluster is needed.
"""

import shutil
import subprocess
import sys

import pytest
import yaml
from support import deploy

UNITS = ("mailqueue-worker@.service", "mailqueue-flower.service", "mailqueue.target")


def run(*command: str) -> str:
    """What a program that needs no environment of ours prints."""
    found = shutil.which(command[0])
    if found is None:
        pytest.skip(f"no {command[0]} on this machine")
    done = subprocess.run(
        [found, *command[1:]], text=True, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def units(tmp_path):
    """The units as installed; the program that they start is one that exists here."""
    for name in UNITS:
        text = (deploy.DEPLOY / "systemd" / name).read_text("utf-8")
        text = text.replace("/opt/mailqueue/bin/mailqueue", sys.executable)
        (tmp_path / name.replace("@.", "@9808.")).write_text(text, "utf-8")
    return sorted(str(path) for path in tmp_path.iterdir())


def test_systemd_reads_the_units_and_finds_nothing_to_say(units):
    said = run("systemd-analyze", "verify", *units)
    ours = [line for line in said.splitlines() if "mailqueue" in line]
    assert ours == []


def test_systemd_calls_the_services_well_protected(units):
    for path in units:
        if path.endswith(".service"):
            # Fails where the exposure is 2.0 or more (of 10).
            run("systemd-analyze", "security", "--offline=true", "--threshold=20", path)


COMPONENTS = [(), ("keda-redis", "prometheus-operator"), ("keda-rabbitmq",)]


@pytest.fixture(params=COMPONENTS, ids=lambda names: "+".join(names) or "base")
def built(request, tmp_path):
    """What kustomize makes of the folder, with these components taken."""
    shutil.copytree(deploy.KUBERNETES, tmp_path / "kubernetes")
    with (tmp_path / "kubernetes" / "kustomization.yaml").open("a", encoding="utf-8") as file:
        file.write(f"\ncomponents: [{', '.join(request.param)}]\n")
    objects = list(yaml.safe_load_all(run("kubectl", "kustomize", str(tmp_path / "kubernetes"))))
    expected = [
        each
        for each in deploy.manifests(*request.param)
        if each["kind"] != "Secret"  # an example, which must not be applied
    ]
    assert len(objects) == len(expected)
    return objects


def test_kustomize_builds_it_for_one_namespace_with_ones_own_image(built):
    assert {each["metadata"].get("namespace") for each in built if each["kind"] != "Namespace"} == {
        "mailqueue"
    }
    pods = [each["spec"]["template"]["spec"] for each in built if each["kind"] == "Deployment"]
    for pod in pods:
        assert pod["containers"][0]["image"].startswith("registry.example.com/mailqueue:")


def test_kubernetes_knows_each_field(built):
    validate = pytest.importorskip("kubernetes_validate", reason="no kubernetes-validate installed")
    of_operators = ("keda.sh", "monitoring.coreos.com")
    core = [each for each in built if not each["apiVersion"].startswith(of_operators)]
    assert len(core) >= 8
    for each in core:
        for version in ("1.30", "1.37"):
            validate.validate(each, version, strict=True)


def test_the_example_of_a_secret_is_one():
    validate = pytest.importorskip("kubernetes_validate", reason="no kubernetes-validate installed")
    validate.validate(deploy.manifest("Secret", "mailqueue"), "1.37", strict=True)


@pytest.mark.parametrize("variants", [(), ("rabbitmq",)], ids=["redis", "rabbitmq"])
def test_compose_reads_the_files_as_we_do(variants):
    if shutil.which("docker-compose") is None:
        pytest.skip("no docker-compose (version 2) on this machine")
    files = ["compose.yaml", *(f"compose.{name}.yaml" for name in variants)]
    options = [word for name in files for word in ("-f", str(deploy.DEPLOY / name))]
    every = ["--profile", "flower", "--profile", "monitoring"]
    told = yaml.safe_load(run("docker-compose", *options, *every, "config"))["services"]
    ours = deploy.compose(*variants)
    assert told.keys() == ours.keys()
    for name, service in ours.items():
        assert told[name].get("environment", {}) == service.get("environment", {})
        assert told[name].get("command") == service.get("command")
