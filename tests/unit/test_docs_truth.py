"""What all pages say: links lead somewhere; commands, settings and files that they name exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from support.filling import fails, mail, name

from mailqueue import conf, routes
from mailqueue.cli import main
from mailqueue.routing.checks import check_routes
from mailqueue.routing.ways import ways
from mailqueue.settings import NAMES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
#: Read by the tests themselves, not by the library.
FOR_TESTS = {"MAILQUEUE_TEST_AMQP_URL", "MAILQUEUE_TEST_SMOKE"}
COMMAND = re.compile(r"^\$ mailqueue (.*)$", re.MULTILINE)
ID = re.compile(r"\b[0-9a-f]{32}\b")

TOML = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def text_of(page: Path) -> str:
    return page.read_text("utf-8")


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), target
        assert not anchor or anchor in anchors(other), target


def test_the_readme_leads_to_each_page() -> None:
    linked = set(re.findall(r"\((docs/[\w-]+\.md)[)#]", text_of(ROOT / "README.md")))
    assert linked == {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}


@each_page
def test_settings_are_such_as_there_are(page: Path) -> None:
    named = set(re.findall(r"\bMAILQUEUE_[A-Z_]*[A-Z]\b", text_of(page)))
    assert named <= set(NAMES) | FOR_TESTS


@each_page
def test_files_that_are_named_exist(page: Path) -> None:
    named = re.findall(r"`((?:mailqueue|worker|tests|benchmarks|docs)/[\w/.-]+)`", text_of(page))
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("toml", TOML.findall(text_of(ROOT / "README.md")))
def test_the_routes_of_the_readme_work(toml: str, tmp_path: Path) -> None:
    (tmp_path / "routes.toml").write_text(toml, "utf-8")
    conf.configure(MAILQUEUE_ROUTES=str(tmp_path / "routes.toml"))
    check_routes(conf.get_settings())
    assert any(way.limits for way in ways(conf.get_settings()).values())


def commands(text: str) -> Iterator[str]:
    """What follows ``mailqueue`` in examples, and in prose where it is a command."""
    yield from COMMAND.findall(text)
    for code in re.findall(r"`mailqueue ([a-z][^`]*)`", re.sub(r"\s+", " ", text)):
        yield code.partition(" | ")[0]


@each_page
def test_commands_are_such_as_there_are(page: Path) -> None:
    for line in commands(text_of(page)):
        words = shlex.split(line)
        context = click.Context(main, info_name="mailqueue")
        command: click.Command = main
        while isinstance(command, click.Group) and words:
            _, found, words = command.resolve_command(context, words)
            assert found is not None, line
            command = found
        options = {option for parameter in command.params for option in parameter.opts}
        used = {word for word in words if word.startswith("--")}
        assert used <= options or "ignore_unknown_options" in command.context_settings, line


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(line, id=f"{page.name}: {line}")
        for page in (ROOT / "README.md", ROOT / "docs" / "failures.md")
        for line in COMMAND.findall(text_of(page))
    ],
)
def test_examples_for_when_things_go_wrong_are_run(line: str, redis_settings) -> None:
    conf.configure(**redis_settings, EMAIL_PORT=1)
    fails(mail(1))
    routes.pause_by_hand("default", "new server")
    result = CliRunner().invoke(main, shlex.split(ID.sub(name(1), line)))
    # Nobody answers at the SMTP port.
    assert result.exit_code == (1 if line == "check" else 0), result.output
    assert "Traceback" not in result.output
