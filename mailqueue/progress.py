"""Progress bars: for a person at a terminal, and silence for everyone else."""

import sys
from collections.abc import Iterable, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")


def progress_bar() -> Progress:
    """A progress display on standard error, shown only where that is a terminal."""
    return Progress(
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )


def track(items: Sequence[T], what: str) -> Iterable[T]:
    """Iterate with a progress bar named ``what``."""
    with progress_bar() as bar:
        yield from bar.track(items, description=what)
