"""What deploy/ must not do: float its versions, open its ports, hold secrets, run as root."""

import json
import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from support import deploy

VERSION = tomllib.loads((deploy.ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
SERVICES = deploy.compose("rabbitmq")
DOCKERFILE = deploy.dockerfile()
PODS = {
    name: deploy.manifest("Deployment", f"mailqueue-{name}")["spec"]["template"]["spec"]
    for name in ("worker", "flower")
}


def images():
    yield from (service["image"] for service in SERVICES.values())
    yield from (step.text.split()[0] for step in DOCKERFILE if step.verb == "FROM")
    yield from (pod["containers"][0]["image"] for pod in PODS.values())


@pytest.mark.parametrize("image", sorted(set(images())))
def test_images_are_pinned(image):
    tag = image.rpartition(":")[2]
    assert re.match(r"v?\d+\.\d+", tag), image


def test_it_is_one_image_of_this_version():
    ours = {image for image in images() if image.startswith("mailqueue")}
    assert ours == {f"mailqueue:{VERSION}"}
    (label,) = (step.text for step in DOCKERFILE if step.verb == "LABEL")
    assert f'image.version="{VERSION}"' in label
    made = yaml.safe_load((deploy.KUBERNETES / "kustomization.yaml").read_text("utf-8"))
    assert [(image["name"], image["newTag"]) for image in made["images"]] == [
        ("mailqueue", VERSION)
    ]


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_to_this_machine_only(name):
    published = SERVICES[name].get("ports", [])
    assert all(port.startswith("127.0.0.1:") for port in published)
    # A published port would allow for one container only: no `--scale worker=3`.
    assert name != "worker" or not published
    assert "container_name" not in SERVICES[name]


#: The login that RabbitMQ is born with; its port is open to one machine only.
BORN_WITH = "guest:guest@"
SECRET = re.compile(
    r"^[\s#-]*(\w*(?:PASSWORD|SECRET|TOKEN|BASIC_AUTH)\w*)[ \t]*[:=][ \t]*(.*)$", re.MULTILINE
)
LOGIN = re.compile(r"://([^\s/@]*:[^\s/@]+)@")
PLACEHOLDERS = {"", "REPLACE", ":REPLACE", "REPLACE:REPLACE", "USER:PASSWORD", "guest:guest"}


@pytest.mark.parametrize("path", deploy.files(), ids=lambda p: str(p.relative_to(deploy.DEPLOY)))
def test_files_hold_no_secret(path):
    text = path.read_text("utf-8")
    if path.parent.name != "flower":
        for name, value in SECRET.findall(text):
            assert value in PLACEHOLDERS or re.fullmatch(r"\$\{\w+:-\}", value), name
        assert set(LOGIN.findall(text)) <= PLACEHOLDERS
    assert BORN_WITH not in text or path.name == "compose.rabbitmq.yaml"


def test_the_image_is_built_from_what_is_there_and_let_in():
    ignored = (deploy.ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in ignored
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        source
        for step in DOCKERFILE
        if step.verb == "COPY" and not step.text.startswith("--from")
        for source in step.text.split()[:-1]
    }
    assert copied == let_in
    assert all((deploy.ROOT / source).exists() for source in copied)


def test_signals_reach_the_worker():
    by_verb = {step.verb: step.text for step in DOCKERFILE}
    # Exec form: no shell that would keep SIGTERM to itself.
    assert json.loads(by_verb["ENTRYPOINT"]) == ["/usr/bin/tini", "--", "mailqueue"]
    assert json.loads(by_verb["CMD"]) == SERVICES["worker"]["command"]
    assert by_verb["STOPSIGNAL"] == "SIGTERM"
    assert deploy.unit("mailqueue-worker@.service")["KillMode"] == ["mixed"]
    assert deploy.unit("mailqueue-worker@.service")["KillSignal"] == ["SIGTERM"]


def test_nobody_is_root():
    (user,) = (step.text for step in DOCKERFILE if step.verb == "USER")
    (made,) = (step.text for step in DOCKERFILE if "useradd" in step.text)
    words = json.loads(made)
    uid = words[words.index("--uid") + 1]
    assert user == f"{uid}:{uid}"
    for pod in PODS.values():
        assert pod["securityContext"]["runAsUser"] == int(uid)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        inner = pod["containers"][0]["securityContext"]
        assert inner["readOnlyRootFilesystem"] is True
        assert inner["allowPrivilegeEscalation"] is False
        assert inner["capabilities"] == {"drop": ["ALL"]}
    for name in ("worker", "flower"):
        assert SERVICES[name]["read_only"] is True
        assert SERVICES[name]["cap_drop"] == ["ALL"]
    for name in ("mailqueue-worker@.service", "mailqueue-flower.service"):
        assert deploy.unit(name)["DynamicUser"] == ["yes"]
        assert deploy.unit(name)["NoNewPrivileges"] == ["yes"]


def test_redis_loses_and_evicts_nothing():
    words = SERVICES["redis"]["command"]
    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "noeviction"
    assert SERVICES["redis"]["volumes"] == ["redis-data:/data"]


def test_the_secret_of_the_example_has_what_pods_ask_for():
    keys = set(deploy.manifest("Secret", "mailqueue")["stringData"])
    asked = [
        each["valueFrom"]["secretKeyRef"]
        for pod in PODS.values()
        for each in pod["containers"][0]["env"]
        if "valueFrom" in each
    ]
    asked += [
        reference
        for name in ("redis", "rabbitmq")
        for reference in deploy.manifest(
            "TriggerAuthentication", f"mailqueue-{name}", f"keda-{name}"
        )["spec"]["secretTargetRef"]
    ]
    assert {each["name"] for each in asked} == {"mailqueue"}
    assert {each["key"] for each in asked if not each.get("optional")} <= keys
    resources = yaml.safe_load((deploy.KUBERNETES / "kustomization.yaml").read_text("utf-8"))
    assert "secret.example.yaml" not in resources["resources"]


def test_objects_find_their_pods():
    worker = deploy.manifest("Deployment", "mailqueue-worker")["spec"]
    labels = worker["template"]["metadata"]["labels"]
    monitor = deploy.manifest("PodMonitor", "mailqueue-worker", "prometheus-operator")
    for selector in (
        worker["selector"],
        worker["template"]["spec"]["topologySpreadConstraints"][0]["labelSelector"],
        deploy.manifest("PodDisruptionBudget", "mailqueue-worker")["spec"]["selector"],
        deploy.manifest("NetworkPolicy", "mailqueue-worker")["spec"]["podSelector"],
        monitor["spec"]["selector"],
    ):
        assert selector["matchLabels"] == labels
    flower = deploy.manifest("Deployment", "mailqueue-flower")["spec"]
    labels = flower["template"]["metadata"]["labels"]
    assert deploy.manifest("Service", "mailqueue-flower")["spec"]["selector"] == labels
    assert flower["selector"]["matchLabels"] == labels


def test_the_lock_file_has_what_the_package_asks_for():
    project = tomllib.loads((deploy.ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    text = (deploy.DEPLOY / "requirements.txt").read_text("utf-8")
    locked = dict(re.findall(r"^([\w.-]+)==(\S+) \\$", text, re.MULTILINE))
    extras = project["optional-dependencies"]
    for asked in map(
        Requirement, [*project["dependencies"], *extras["flower"], *extras["metrics"]]
    ):
        assert asked.specifier.contains(locked[asked.name]), asked
    assert text.count("--hash=sha256:") >= len(locked)
