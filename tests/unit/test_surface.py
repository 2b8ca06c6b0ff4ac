import ast
import inspect
import re
import subprocess
import sys
import types

import pytest

import mailqueue
from mailqueue import errors


def test_all_lists_what_the_package_offers() -> None:
    source = ast.parse(inspect.getsource(mailqueue))
    imported = {
        alias.asname or alias.name
        for node in source.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if not (alias.asname or alias.name).startswith("_")
    }
    assert imported == set(mailqueue.__all__)
    assert len(mailqueue.__all__) == len(set(mailqueue.__all__))


@pytest.mark.parametrize("name", mailqueue.__all__)
def test_each_name_exists_and_is_no_module(name: str) -> None:
    assert not isinstance(getattr(mailqueue, name), types.ModuleType)


@pytest.mark.parametrize(
    "module", ["mailqueue", "mailqueue.message", "mailqueue.packing", "mailqueue.testing"]
)
def test_importing_the_package_imports_no_queue_no_framework_and_no_worker(module: str) -> None:
    heavy = {"celery", "kombu", "redis", "django", "worker", "billiard", "jinja2", "rich", "click"}
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = set(run.stdout.split())
    assert "mailqueue" in found
    assert not heavy & found


def test_the_errors_docstring_is_the_tree_of_errors() -> None:
    """Each line: how deep, the name, and bases beside the line above it."""
    documented = []
    parents: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"( *)- (\w+)(?: \((\w+)\))?", line):
            depth = len(found[1]) // 4
            parents[depth:] = [found[2]]
            parent = parents[depth - 1] if depth else "Exception"
            documented.append((found[2], [parent] + [found[3]] * bool(found[3])))
    defined = [
        (name, [base.__name__ for base in cls.__bases__])
        for name, cls in vars(errors).items()
        if inspect.isclass(cls) and issubclass(cls, Exception)
    ]
    assert sorted(documented) == sorted(defined)


def test_every_error_of_the_package_s_surface_is_one_of_the_tree() -> None:
    offered = {name for name in mailqueue.__all__ if name.endswith("Error")}
    assert offered == {name for name, cls in vars(errors).items() if inspect.isclass(cls)} - {
        "EmbeddedError"
    }
