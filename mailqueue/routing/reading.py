"""``MAILQUEUE_ROUTES`` as it is written: a dict, JSON, or a ``.toml`` or ``.json`` file.

Values are never repeated in an error, since there are passwords among them.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from mailqueue.errors import ConfigurationError
from mailqueue.routing.route import NAME, Route

_NAME: Final = re.compile(NAME)


def read_routes(value: Any, where: str) -> dict[str, Route]:
    """Make routes of what a setting holds.

    Args:
        value: A dict of name to table; or text: such a dict as JSON, or the path of a file.
        where: Where it stands, for errors: "the environment".

    Raises:
        ConfigurationError: It is no such thing; the text names the route and the field.
    """
    if isinstance(value, str):
        value, where = _from_text(value.strip(), where)
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            f"MAILQUEUE_ROUTES in {where}: a table for each route is wanted, by its name; this is "
            f"a {type(value).__name__}"
        )
    return {str(name): _route(name, table, where) for name, table in value.items()}


def _from_text(text: str, where: str) -> tuple[Any, str]:
    """What the text holds, and where to say that it stands."""
    if text[:1] in {"{", "["}:
        return _decoded(text.encode(), where, ".json"), where
    path = Path(text)
    if path.suffix not in {".toml", ".json"}:
        raise ConfigurationError(
            f"MAILQUEUE_ROUTES in {where}: neither a JSON object nor the path of a .toml or .json "
            'file; write {"NAME": {"host": …}}, or such a path'
        )
    where = f"{where} ({path})"
    try:
        data = path.expanduser().read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"MAILQUEUE_ROUTES in {where}: the file cannot be read: {error.strerror}"
        ) from error
    return _decoded(data, where, path.suffix), where


def _decoded(data: bytes, where: str, kind: str) -> Any:
    try:
        if kind == ".toml":
            return tomllib.loads(data.decode())
        return msgspec.json.decode(data)
    except (tomllib.TOMLDecodeError, msgspec.DecodeError, UnicodeDecodeError) as error:
        # tomllib may quote a piece of what it read.
        place = re.search(r"\((?:at line|at end|byte) ?[^)]*\)", str(error))
        shown = f" {place[0]}" if place else ""
        raise ConfigurationError(
            f"MAILQUEUE_ROUTES in {where}: this is no {kind[1:].upper()}{shown}"
        ) from None


def _route(name: Any, table: Any, where: str) -> Route:
    said = f"MAILQUEUE_ROUTES in {where}, route {name!r}"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{said}: this is no name; take up to 50 letters, digits, dots, hyphens and underscores"
        )
    if isinstance(table, Route):
        return msgspec.structs.replace(table, name=name)
    if not isinstance(table, Mapping):
        raise ConfigurationError(f"{said}: a table is wanted, this is a {type(table).__name__}")
    if "name" in table:
        raise ConfigurationError(f"{said}: leave `name` out; a route's name is its key")
    try:
        return msgspec.convert({**table, "name": name}, Route, strict=False)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `")
        field = path.rpartition("`$")[2].strip("`$").removeprefix(".")
        key = "a key in " if path.startswith("key") else ""
        raise ConfigurationError(f"{said}: {key}{field + ': ' if field else ''}{text}") from None
