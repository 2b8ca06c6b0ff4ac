"""Processes on the leash end with the tests that started them, however those end."""

import os
import signal
import subprocess
import sys

import psutil  # type: ignore[import-untyped]
from support.processes import until

#: Starts two processes, one with a group of its own that has another in it; then waits.
TESTS = """
import subprocess, sys, time
from support import leash
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
nested = f"import subprocess; subprocess.run({sleep!r})"
single = subprocess.Popen(sleep)
group = subprocess.Popen([sys.executable, "-c", nested], start_new_session=True)
ended = subprocess.Popen([sys.executable, "-c", ""])
for process in (single, group, ended):
    leash.hold(process)
ended.wait()
leash.release(ended)
print("held", flush=True)
time.sleep(600)
"""


def test_whoever_is_killed_leaves_nothing_behind():
    tests = subprocess.Popen(
        [sys.executable, "-c", TESTS],
        env=os.environ | {"PYTHONPATH": "tests"},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert tests.stdout
    assert tests.stdout.readline() == b"held\n"
    # The watchdog, two that are held, and the one in the group.
    children = psutil.Process(tests.pid).children
    until(lambda: len(children(recursive=True)) == 4, 20)
    left = children(recursive=True)
    tests.send_signal(signal.SIGKILL)
    tests.wait()
    tests.stdout.close()
    assert psutil.wait_procs(left, timeout=20)[1] == []
