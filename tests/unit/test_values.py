import datetime as dt
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailqueue.errors import DecodeError, EncodeError
from mailqueue.values import Special, Text, pack, pack_tree, unpack, unpack_tree

# ISO 8601 has no word for the second 2:30 in a night; the offset says it.
NAIVE = st.datetimes().map(lambda when: when.replace(fold=0))
ANY_TEXT = st.text(st.characters())
OFFSETS = st.integers(-86399, 86399).map(lambda seconds: dt.timezone(dt.timedelta(seconds=seconds)))
AWARE = st.datetimes(timezones=OFFSETS).map(lambda when: when.replace(fold=0))
VALUES = ANY_TEXT | st.binary() | NAIVE | AWARE | st.dates()
LEAVES = (
    VALUES
    | st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
KEYS = st.text(st.characters(exclude_categories=["Cs"])).filter(lambda key: key != "$mailqueue")
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=20
)


def through_json(value: Any, type_: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value), type=type_)


@given(VALUES)
def test_text_bytes_and_dates_come_back_as_they_were(value: Any) -> None:
    found = unpack(through_json(pack(value, "it"), Text))
    assert found == value
    assert type(found) is type(value)


@given(st.datetimes(timezones=st.timezones()))
def test_an_instant_keeps_its_offset(value: dt.datetime) -> None:
    found = unpack(through_json(pack(value, "it"), Text))
    assert found.isoformat() == value.isoformat()


@given(TREES)
def test_trees_of_values_come_back_as_they_were(tree: Any) -> None:
    packed = pack_tree(tree, "it")
    found = unpack_tree(through_json(packed, Any))
    assert found == tree
    assert repr(found) == repr(tree)  # True is not 1, 1.0 is not 1, -0.0 is not 0.0


@given(TREES)
def test_packed_trees_are_json_for_everybody(tree: Any) -> None:
    packed = pack_tree(tree, "it")
    assert json.loads(json.dumps(packed, allow_nan=False)) == packed


def test_tuples_become_lists() -> None:
    assert unpack_tree(pack_tree((1, ("a", [()])), "it")) == [1, ["a", [[]]]]


def test_writable_bytes_are_carried_as_they_are_now() -> None:
    assert unpack(pack(bytearray(b"\xff"), "it")) == b"\xff"
    assert unpack(pack(memoryview(b"\xff"), "it")) == b"\xff"


@pytest.mark.parametrize("value", [None, 1, 1.5, object(), [], {}, dt.time(), len])
def test_a_field_is_text_bytes_or_a_date_and_the_error_names_it(value: Any) -> None:
    with pytest.raises(EncodeError, match=rf"^subject is a {type(value).__name__}, .*as text"):
        pack(value, "subject")


def nested(depth: int) -> list[Any]:
    tree: list[Any] = []
    for _ in range(depth):
        tree = [tree]
    return tree


def test_what_can_be_packed_can_be_unpacked_however_deep() -> None:
    deepest = next(d for d in range(500, 0, -1) if _packs(nested(d)))
    assert unpack_tree(through_json(pack_tree(nested(deepest), "it"), Any)) == nested(deepest)
    innermost = nested(deepest - 1)
    place = innermost
    while place:
        place = place[0]
    place.append(b"special")
    assert unpack_tree(through_json(pack_tree(innermost, "it"), Any)) == innermost


def _packs(tree: Any) -> bool:
    try:
        pack_tree(tree, "it")
    except EncodeError:
        return False
    return True


def test_a_payload_that_nests_too_deep_is_refused() -> None:
    with pytest.raises(DecodeError, match="nests deeper"):
        unpack_tree(nested(500))


@pytest.mark.parametrize(
    "special",
    [
        Special("datetime", text="yesterday"),
        Special("date", text="2026-13-01"),
        Special("surrogates", data=b"\xff"),
    ],
)
def test_a_damaged_special_value_is_a_decode_error(special: Special) -> None:
    with pytest.raises(DecodeError, match=special.kind) as caught:
        unpack(special)
    assert caught.value.data == special


@pytest.mark.parametrize(
    "inside", [None, "text", {}, {"kind": "other"}, {"kind": "bytes", "data": 1}]
)
def test_a_map_that_only_looks_special_is_a_decode_error(inside: Any) -> None:
    with pytest.raises(DecodeError, match="special value is damaged"):
        unpack_tree({"$mailqueue": inside})
