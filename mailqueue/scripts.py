"""Lua scripts: each change of state that takes several steps is one script, in a file of its own.

Redis runs a script as a whole: no crash and no other worker comes between its steps. The clock
that scripts use is the server's, so machines whose clocks differ agree on what is due.
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from redis.commands.core import Script

from mailqueue.state import get_state


def run_script(name: str, keys: Sequence[str], arguments: Sequence[str | bytes | float]) -> Any:
    """Run ``lua/NAME.lua``; raises what redis-py raises."""
    return _script(name)(keys=list(keys), args=list(arguments), client=get_state())


@cache
def _script(name: str) -> Script:
    return Script(get_state(), files("mailqueue").joinpath("lua", f"{name}.lua").read_text("utf-8"))
