"""What Flower shows of mail: the truth about each batch; neither content, nor people, nor secrets.

With MAILQUEUE_FLOWER_SCREENSHOT in the environment, the page for the docs is written there.
"""

import os
from pathlib import Path
from typing import Any

import pytest
import redis
from selenium.webdriver.common.by import By
from support import brokers
from support.flower import LOGIN, Flower, browser, flower
from support.processes import until, worker
from support.scripted_replies import Play, ScriptedServer

from mailqueue import EmailMessage, Handle, conf, enqueue, ledger
from mailqueue.outcomes import Stage

#: Each is somewhere in the mail or in the settings, and may be nowhere in what is shown.
LOCAL, SUBJECT, BODY = "xyzlocal", "xyzsubject", "xyzbody"
BROKER_PASSWORD, SMTP_PASSWORD = "xyzbroker", "xyzsmtp"
MARKERS = (LOCAL, SUBJECT, BODY, BROKER_PASSWORD, SMTP_PASSWORD)
TABS = ("pool", "broker", "queues", "tasks", "limits", "config", "system")


def message(name: str) -> EmailMessage:
    sender = f"{LOCAL}.{name}@example.com"
    return EmailMessage(f"{SUBJECT} {name}", f"{BODY} {name}", sender, [f"{LOCAL}@example.org"])


def load() -> dict[str, list[Handle]]:
    """A batch for each end."""
    return {
        "sent": enqueue([message(f"fine{n}") for n in range(50)]),
        "deferred": enqueue([message("one"), message("later.a")]),
        "bounced": enqueue([message("two"), message("three"), message("bounce.a")]),
        "silent": enqueue([message("four"), message("bounce.b")], fail_silently=True),
        "mixed": enqueue([message("five"), message("later.b"), message("bounce.c")]),
    }


EXPECTED = {
    "sent": ("SUCCESS", "50 sent"),
    "deferred": ("RETRY", "1 sent, 1 deferred"),
    "bounced": ("FAILURE", "2 sent, 1 bounced"),
    "silent": ("SUCCESS", "1 sent, 1 bounced"),
    "mixed": ("FAILURE", "1 sent, 1 deferred, 1 bounced"),
}


@pytest.fixture
def server():
    with ScriptedServer(password=SMTP_PASSWORD) as server:
        for name in "abc":
            bounce = f"550 5.1.1 <{LOCAL}@example.org>: no such user"
            later = f"450 4.2.0 <{LOCAL}@example.org>: greylisted"
            server.plays[f"{LOCAL}.bounce.{name}"] = [Play(Stage.RECIPIENT, bounce, times=None)]
            server.plays[f"{LOCAL}.later.{name}"] = [Play(Stage.RECIPIENT, later)]
        yield server


def discreet(shown: str) -> None:
    for marker in MARKERS:
        assert marker not in shown, marker


def ended_tasks(watched: Flower, batches: dict[str, list[Handle]]) -> dict[str, str]:
    """The uuid of each batch's first task, once Flower knows how all of them ended."""
    found: dict[str, str] = {}

    def look() -> bool:
        known = watched.json("/api/tasks")
        for name, handles in batches.items():
            for uuid, task in known.items():
                if handles[0].id in (task["args"] or "") and task["state"] not in {
                    "RECEIVED",
                    "STARTED",
                }:
                    found.setdefault(name, uuid)
        return len(found) == len(batches)

    until(look, 40, lambda: watched.log)
    return found


def rows(chrome: Any) -> dict[str, str]:
    """The list: each task's uuid, and all of its line."""
    lines = chrome.find_elements(By.CSS_SELECTOR, "#tasks-table tbody tr")
    found = {}
    for line in lines:
        links = line.find_elements(By.CSS_SELECTOR, "a[href*='/task/']")
        if links:
            found[links[0].get_attribute("title")] = line.text
    return found


@pytest.mark.parametrize("broker", ["redis", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def test_the_pages_show_the_truth_and_nobody(request, broker, server, queue_name, tmp_path):
    with brokers.redis_server() as private, browser(tmp_path / "profile") as chrome:
        redis.Redis(port=private.port).config_set("requirepass", BROKER_PASSWORD)
        state = f"redis://:{BROKER_PASSWORD}@127.0.0.1:{private.port}/0"
        url = state if broker == "redis" else request.getfixturevalue("rabbitmq_url")
        settings = server.settings | {
            "MAILQUEUE_BROKER_URL": url,
            "MAILQUEUE_REDIS_URL": state,
            "MAILQUEUE_QUEUE": queue_name,
            "MAILQUEUE_RETRY_SCHEDULE": "0.5",
            "EMAIL_HOST_USER": "somebody",
            "EMAIL_HOST_PASSWORD": SMTP_PASSWORD,
        }
        conf.configure(**settings)
        name = f"mail-{queue_name[-4:]}@docs"
        try:
            with (
                flower(settings, tmp_path / "flower.log") as watched,
                worker(settings, tmp_path / "worker.log", "--hostname", name) as running,
            ):
                # Flower misses what was told before it listened.
                until(lambda: name in watched.ask("/workers?json=1")[1], 30, lambda: watched.log)
                batches = load()
                everybody = [handle for handles in batches.values() for handle in handles]
                until(lambda: all(h.status().final for h in everybody), 40, lambda: running.log)
                until(lambda: ledger.in_flight() == 0, 20)
                tasks = ended_tasks(watched, batches)
                see_the_list(chrome, watched, tasks)
                see_each_task(chrome, watched, tasks, batches)
                see_the_worker(chrome, watched, name)
                what_flower_answers(watched, tasks, name)
            discreet(running.log)
            discreet(watched.log)
        finally:
            if broker == "rabbitmq":
                brokers.delete_rabbitmq_queue(queue_name)


def see_the_list(chrome: Any, watched: Flower, tasks: dict[str, str]) -> None:
    chrome.get(watched.url("/tasks"))
    # The page asks for its lines by script, which may carry no login in its address.
    chrome.get(f"http://{watched.address}/tasks")
    until(lambda: set(tasks.values()) <= set(rows(chrome)), 20, lambda: chrome.page_source[-2000:])
    shown = rows(chrome)
    for name, (state, result) in EXPECTED.items():
        line = shown[tasks[name]]
        assert state in line
        assert result in line
    assert "deliver 50 mails" in shown[tasks["sent"]]
    discreet(chrome.page_source)
    if target := os.environ.get("MAILQUEUE_FLOWER_SCREENSHOT"):
        Path(target).write_bytes(chrome.get_screenshot_as_png())


def see_each_task(
    chrome: Any, watched: Flower, tasks: dict[str, str], batches: dict[str, list[Handle]]
) -> None:
    for name, (state, result) in EXPECTED.items():
        chrome.get(f"http://{watched.address}/task/{tasks[name]}")
        page = chrome.find_element(By.ID, "task-page").text
        assert state in page
        assert result in page
        assert batches[name][0].id in page
        discreet(chrome.page_source)
    page = chrome.find_element(By.ID, "task-page").text  # of the mixed one
    assert f"{batches['mixed'][2].id} 550 5.1.1 <***@example.org>: no such user" in page


def see_the_worker(chrome: Any, watched: Flower, name: str) -> None:
    for path in ("/", f"/worker/{name}", "/broker"):
        chrome.get(f"http://{watched.address}{path}")
        discreet(chrome.page_source)
        if path.startswith("/worker/"):
            # All tabs are in the page; each is opened, in case it asks for more.
            for tab in TABS:
                chrome.find_element(By.ID, f"worker-tab-{tab}").click()
                pane = chrome.find_element(By.ID, f"tab-{tab}")
                until(pane.is_displayed, 10)
            assert "mailqueue.deliver" in chrome.page_source
            discreet(chrome.page_source)


def what_flower_answers(watched: Flower, tasks: dict[str, str], name: str) -> None:
    paths = ["/api/tasks", "/api/workers?refresh=1", "/api/queues/length", "/metrics"]
    paths += [f"/api/task/info/{uuid}" for uuid in tasks.values()]
    for path in paths:
        status, text = watched.ask(path)
        assert status == 200, (path, text)
        assert text
        discreet(text)
    # Without the login: the pages and the API are closed, these two are not.
    closed = {path: watched.ask(path, login="")[0] for path in ("/tasks", "/api/tasks", "/")}
    assert set(closed.values()) == {401}
    assert watched.ask("/metrics", login="")[0] == 200
    assert watched.ask("/healthcheck", login="")[0] == 200
    assert LOGIN not in watched.log
    # Its limits are for tasks that Flower's own side knows; ours is known to workers alone.
    path = f"/api/task/timeout/mailqueue.deliver?workername={name}&hard=1"
    assert watched.ask(path, method="POST")[0] == 404
