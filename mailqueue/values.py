"""Values that a message may hold and JSON may not, made safe to carry and back.

JSON holds text, numbers, lists and string-keyed maps. Messages also hold bytes, text with lone
surrogates (the standard library's way to carry undecodable bytes), dates and lazy strings. Each
of these becomes a ``Special``; everything else is refused with the path to the culprit, at the
time of enqueueing, in the caller's own stack.
"""

import datetime as dt
import math
from typing import Any, Final, Literal

import msgspec

from mailqueue.errors import DecodeError, EncodeError

_TAG: Final = "$mailqueue"
#: Levels of lists and maps; what nests deeper (or contains itself) has no business in a mail, and
#: could exhaust the stack of the worker that reads it.
_MAX_DEPTH: Final = 100


class Special(msgspec.Struct, frozen=True, omit_defaults=True):
    """A value that JSON has no form for: ``kind`` says what ``data`` or ``text`` stands for."""

    kind: Literal["bytes", "surrogates", "datetime", "date", "mime"]
    data: bytes = b""
    text: str = ""


Text = str | Special


def pack(value: object, where: str) -> Text:
    """Pack text, bytes or a date; ``where`` names the field in errors.

    Lazy strings (objects whose ``str()`` is the text, as translation frameworks have them) become
    plain text. Raises ``EncodeError`` for anything else.
    """
    if isinstance(value, str):
        return _pack_text(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return Special("bytes", data=bytes(value))
    if isinstance(value, dt.datetime):
        return Special("datetime", text=value.isoformat())
    if isinstance(value, dt.date):
        return Special("date", text=value.isoformat())
    if is_lazy(value):
        return _pack_text(str(value))
    raise EncodeError(
        f"{where} is a {type(value).__name__}, which the queue cannot carry; give it as text"
    )


def _pack_text(value: str) -> Text:
    # Twice: subclasses such as Django's SafeString give themselves as their ``str()``.
    value = str.__str__(str(value))
    try:
        value.encode()
    except UnicodeEncodeError:
        return Special("surrogates", data=value.encode("utf-8", "surrogatepass"))
    return value


def unpack(value: Text) -> Any:
    """Give back what ``pack`` was given. Raises ``DecodeError`` where the payload was damaged."""
    if isinstance(value, str):
        return value
    try:
        match value.kind:
            case "surrogates":
                return value.data.decode("utf-8", "surrogatepass")
            case "datetime":
                return dt.datetime.fromisoformat(value.text)
            case "date":
                return dt.date.fromisoformat(value.text)
            case "bytes" | "mime":
                return value.data
    except ValueError as error:
        raise DecodeError(f"a {value.kind} value is damaged: {error}", data=value) from error


def is_lazy(value: object) -> bool:
    """True for lazy translations (Django's ``gettext_lazy``, Babel's ``LazyProxy``)."""
    return any(
        cls.__name__ in {"__proxy__", "Promise", "LazyProxy", "LazyString", "_LazyString"}
        for cls in type(value).__mro__
    )


def pack_tree(value: object, where: str, *, depth: int = 0) -> Any:
    """Pack an attribute of any JSON-safe shape; tuples become lists.

    Raises ``EncodeError`` that names the path (``metadata['when']``) of what cannot be carried.
    """
    if depth > _MAX_DEPTH:
        raise EncodeError(
            f"{where[:100]}… contains itself, or nests deeper than {_MAX_DEPTH} levels, which the "
            "queue cannot carry"
        )
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if -(2**63) <= value < 2**63:
            return int(value)
        raise EncodeError(
            f"{where} is beyond 64 bits, which the queue cannot carry; give it as text"
        )
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        raise EncodeError(f"{where} is {value}, which JSON has no form for; give it as text")
    if isinstance(value, list | tuple):
        return [pack_tree(item, f"{where}[{at}]", depth=depth + 1) for at, item in enumerate(value)]
    if isinstance(value, dict):
        return {
            pack_key(key, where): pack_tree(item, f"{where}[{key!r}]", depth=depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, str):
        value = str.__str__(value)  # of an enumeration's member its value, as JSON has it
    packed = pack(value, where)
    return packed if isinstance(packed, str) else {_TAG: msgspec.to_builtins(packed)}


def pack_key(key: object, where: str) -> str:
    """A name in a map, as plain text. Raises ``EncodeError`` for what is none."""
    if not isinstance(key, str):
        raise EncodeError(f"{where} has the key {key!r}; the queue carries text keys only")
    if key == _TAG or not isinstance(_pack_text(key), str):
        raise EncodeError(f"{where} has the key {key!r}, which the queue cannot carry")
    return str.__str__(key)


def unpack_tree(value: Any, *, depth: int = 0) -> Any:
    """Give back what ``pack_tree`` was given (tuples as lists).

    Raises ``DecodeError`` where the payload was damaged.
    """
    if depth > _MAX_DEPTH + 1:  # a special value is one level of its own
        raise DecodeError(f"a value nests deeper than {_MAX_DEPTH} levels", data=value)
    if isinstance(value, list):
        return [unpack_tree(item, depth=depth + 1) for item in value]
    if isinstance(value, dict):
        if value.keys() == {_TAG}:
            try:
                return unpack(msgspec.convert(value[_TAG], Special))
            except msgspec.ValidationError as error:
                raise DecodeError(f"a special value is damaged: {error}", data=value) from error
        return {key: unpack_tree(item, depth=depth + 1) for key, item in value.items()}
    return value
