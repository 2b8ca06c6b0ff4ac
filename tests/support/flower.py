"""Flower as a process, and a browser to look at it."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver

from support.brokers import free_port
from support.processes import environment, until

LOGIN = "watcher:of-mail"
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1500,900", "--force-device-scale-factor=0.8",
)  # fmt: skip


class Flower:
    """A running one; its pages are behind a login."""

    def __init__(self, port: int, log: Path) -> None:
        self.address = f"127.0.0.1:{port}"
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8", "replace")

    def url(self, path: str) -> str:
        """With the login, for a browser."""
        return f"http://{LOGIN}@{self.address}{path}"

    def ask(self, path: str, *, login: str = LOGIN, method: str = "GET") -> tuple[int, str]:
        """The answer's status and text."""
        request = urllib.request.Request(f"http://{self.address}{path}", method=method)
        if login:
            basic = base64.b64encode(login.encode()).decode()
            request.add_header("Authorization", f"Basic {basic}")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def json(self, path: str) -> Any:
        status, text = self.ask(path)
        assert status == 200, (status, text, self.log)
        return json.loads(text)


@contextmanager
def flower(settings: dict[str, str], log: Path, *options: str) -> Iterator[Flower]:
    """`mailqueue flower`, answering; ended with SIGTERM."""
    port = free_port()
    variables = environment(settings) | {"FLOWER_PORT": str(port), "FLOWER_BASIC_AUTH": LOGIN}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mailqueue", "flower", *options],
            env=variables,
            cwd=log.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    running = Flower(port, log)

    def answers() -> bool:
        assert process.poll() is None, running.log
        try:
            return running.ask("/healthcheck", login="")[0] == 200
        except OSError:
            return False

    try:
        until(answers, 30, lambda: running.log)
        yield running
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def browser(directory: Path) -> Iterator[webdriver.Chrome]:
    """Headless Chromium with an empty profile; the test is skipped where there is none."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not driver:
        missing = "no chromium and chromedriver on PATH"
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(f"{missing}; CI has to provide them")
        pytest.skip(missing)
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*_FLAGS, f"--user-data-dir={directory}"):
        options.add_argument(flag)
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        chrome.set_page_load_timeout(30)
        yield chrome
    finally:
        chrome.quit()
