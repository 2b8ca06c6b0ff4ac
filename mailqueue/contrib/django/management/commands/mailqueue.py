"""``manage.py mailqueue …``: the command line of mailqueue, with Django's settings."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mailqueue.cli import main


class Command(BaseCommand):  # type: ignore[misc]  # Django has no types here
    """Every subcommand, option, help text and exit code is the command line's own.

    ``--settings`` and ``--pythonpath`` are Django's, and stay so.
    """

    help = "Send email in the background: into a queue, and out by workers."
    requires_system_checks: Sequence[str] = ()

    def run_from_argv(self, argv: Sequence[str]) -> None:
        """Hand over what stands after ``manage.py mailqueue``; exits as the command line does."""
        djangos = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        djangos.add_argument("--settings")
        djangos.add_argument("--pythonpath")
        _, ours = djangos.parse_known_args(list(argv[2:]))
        main.main(args=ours, prog_name=_name(argv[0], argv[1]))

    def print_help(self, prog_name: str, subcommand: str) -> None:
        """For ``manage.py help mailqueue``."""
        main.main(args=["--help"], prog_name=_name(prog_name, subcommand))

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """For ``call_command("mailqueue", "stats", "--json")``: all of it is ours."""
        parser.add_argument("arguments", nargs=argparse.REMAINDER)

    def handle(self, *args: Any, arguments: Sequence[str], **options: Any) -> None:  # noqa: ARG002
        """Run a subcommand. Raises ``CommandError`` with its exit code where that is not 0."""
        try:
            with redirect_stdout(self.stdout), redirect_stderr(self.stderr):
                main.main(args=list(arguments), prog_name=_name(sys.argv[0], "mailqueue"))
        except SystemExit as ended:
            if ended.code:
                code = ended.code if isinstance(ended.code, int) else 1
                raise CommandError(
                    f"mailqueue {' '.join(arguments[:1])} ended with {code}", returncode=code
                ) from None


def _name(program: str, subcommand: str) -> str:
    name = Path(program).name
    return f"{'python -m django' if name == '__main__.py' else name} {subcommand}"
