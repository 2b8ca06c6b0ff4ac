"""What deploy/ sets and starts is what the code knows: settings, commands, queues, times."""

import re
import shlex

import click
import pytest
from celery.bin.worker import worker as celery_worker
from support import deploy

from mailqueue import conf
from mailqueue.broker import configuration, queue_names
from mailqueue.cli import main
from mailqueue.contradictions import contradictions
from mailqueue.settings import NAMES, Settings

each_file = pytest.mark.parametrize(
    "path", deploy.files(), ids=lambda path: str(path.relative_to(deploy.DEPLOY))
)
each_worker = pytest.mark.parametrize("launch", deploy.workers().values(), ids=deploy.workers())


@each_file
def test_settings_exist(path):
    named = set(re.findall(r"\b(?:MAILQUEUE|EMAIL)_[A-Z_]*[A-Z]\b", path.read_text("utf-8")))
    assert named <= set(NAMES)


@each_worker
def test_settings_hold_together(launch, monkeypatch):
    for name, value in launch.settings.items():
        monkeypatch.setenv(name, value)
    settings = conf.get_settings()
    assert configuration(settings)["broker_url"]
    assert [found for found in contradictions(settings) if found.fatal] == []
    assert settings.MAILQUEUE_METRICS_PORT == 9808


@each_worker
def test_a_worker_has_the_time_to_stop(launch, monkeypatch):
    for name in ("MAILQUEUE_STOP_TIMEOUT", "EMAIL_TIMEOUT"):
        # Said beside the grace period, so that who changes one sees the other.
        monkeypatch.setenv(name, launch.settings[name])
    settings = conf.get_settings()
    assert settings.EMAIL_TIMEOUT is not None
    assert launch.grace >= settings.MAILQUEUE_STOP_TIMEOUT + settings.EMAIL_TIMEOUT


@each_worker
def test_options_are_those_of_a_worker(launch):
    command, *options = launch.arguments
    assert command == "worker"
    context = click.Context(celery_worker, info_name="worker")
    values, rest, _ = celery_worker.make_parser(context).parse_args(options)
    assert rest == []
    assert int(values["concurrency"]) >= 1


def flowers():
    pod = deploy.manifest("Deployment", "mailqueue-flower")["spec"]["template"]["spec"]
    yield deploy.compose()["flower"]["command"]
    yield pod["containers"][0]["args"]
    yield shlex.split(deploy.unit("mailqueue-flower.service")["ExecStart"][0])[1:]


@pytest.mark.parametrize("words", list(flowers()), ids=" ".join)
def test_options_of_flower_are_flowers(words):
    from flower.command import is_flower_option  # type: ignore[import-untyped]

    assert words[0] == "flower"
    assert all(is_flower_option(word) for word in words[1:])


def resolve(words: list[str]) -> list[str]:
    """What is left after the names of commands; fails where one is unknown."""
    command: click.Command = main
    context = click.Context(main, info_name="mailqueue")
    while isinstance(command, click.Group) and words:
        name, found, words = command.resolve_command(context, words)
        assert found is not None, name
        command = found
    command.make_context("x", list(words), resilient_parsing=False)
    return words


@each_file
def test_commands_that_are_named_exist(path):
    text = re.sub(r"\s*\n\s*#?\s*", " ", path.read_text("utf-8"))
    for line in re.findall(r"`mailqueue ([a-z][^`]*)`", text):
        if line != "health":  # both of its questions
            resolve(shlex.split(line))


def test_health_is_asked_as_it_answers():
    (probe,) = (step for step in deploy.dockerfile() if step.verb == "HEALTHCHECK")
    command = deploy.compose()["worker"]["healthcheck"]["test"]
    assert command[:2] == ["CMD", "mailqueue"]
    assert probe.text.endswith('CMD ["mailqueue", "health", "live"]')
    assert resolve(command[2:]) == ["live"]


@pytest.mark.parametrize(
    ("folder", "key"), [("keda-redis", "listName"), ("keda-rabbitmq", "queueName")]
)
def test_the_scaler_looks_at_the_queues_there_are(folder, key):
    scaler = deploy.manifest("ScaledObject", "mailqueue-worker", folder)["spec"]
    looked_at = {each["name"]: each["metadata"][key] for each in scaler["triggers"]}
    assert looked_at == queue_names(Settings())
    # Retries come from workers: with none, nothing would ever be due.
    assert scaler["minReplicaCount"] >= 1
    assert scaler["scaleTargetRef"]["name"] == "mailqueue-worker"


def test_ports_are_the_same_everywhere():
    (exposed,) = (step.text.split() for step in deploy.dockerfile() if step.verb == "EXPOSE")
    assert exposed == ["9808", "5555"]
    assert deploy.compose()["worker"]["expose"] == ["9808"]
    for name, port in (("worker", 9808), ("flower", 5555)):
        pod = deploy.manifest("Deployment", f"mailqueue-{name}")["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        (opened,) = container["ports"]
        assert opened["containerPort"] == port
        policy = deploy.manifest("NetworkPolicy", f"mailqueue-{name}")["spec"]
        assert policy["ingress"] == [{"ports": [{"protocol": "TCP", "port": port}]}]
        probes = [value["httpGet"] for key, value in container.items() if key.endswith("Probe")]
        assert probes
        assert {probe["port"] for probe in probes} == {opened["name"]}
    monitor = deploy.manifest("PodMonitor", "mailqueue-worker", "prometheus-operator")["spec"]
    assert monitor["podMetricsEndpoints"][0]["port"] == "metrics"
