import itertools
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailqueue.batch import Encoded, cut, describe
from mailqueue.envelope import Priority

ENVELOPES = st.lists(
    st.builds(
        Encoded,
        st.text("0123456789abcdef", min_size=4, max_size=4),
        st.text("aä€😀", max_size=12),
        st.just("default"),
        st.just("normal"),
    ),
    max_size=40,
)
MIXED = st.lists(
    st.builds(
        Encoded,
        st.uuids().map(str),
        st.just("x"),
        st.sampled_from(["default", "a", "b"]),
        st.sampled_from(get_args(Priority)),
    ),
    max_size=40,
)


def weight(batch: list[Encoded]) -> int:
    return sum(len(envelope.data.encode()) for envelope in batch)


@given(ENVELOPES, st.integers(1, 10), st.integers(1, 60))
def test_cutting_keeps_everything_in_order_within_the_bounds(
    envelopes: list[Encoded], size: int, max_bytes: int
) -> None:
    batches = list(cut(iter(envelopes), size=size, max_bytes=max_bytes))
    assert [envelope for batch in batches for envelope in batch] == envelopes
    for batch in batches:
        assert 1 <= len(batch) <= size
        assert weight(batch) <= max_bytes or len(batch) == 1


@given(ENVELOPES, st.integers(1, 10), st.integers(1, 60))
def test_no_batch_is_cut_earlier_than_it_must(
    envelopes: list[Encoded], size: int, max_bytes: int
) -> None:
    batches = list(cut(envelopes, size=size, max_bytes=max_bytes))
    for batch, following in itertools.pairwise(batches):
        assert len(batch) == size or weight([*batch, following[0]]) > max_bytes


@given(MIXED, st.integers(1, 10))
def test_a_batch_has_one_priority_and_one_route(envelopes: list[Encoded], size: int) -> None:
    batches = list(cut(envelopes, size=size, max_bytes=1000))

    def kind(envelope: Encoded) -> tuple[str, str]:
        return envelope.priority, envelope.route

    assert all(len({kind(envelope) for envelope in batch}) == 1 for batch in batches)
    for each in {kind(envelope) for envelope in envelopes}:
        of_this = [batch for batch in batches if kind(batch[0]) == each]
        wanted = [envelope for envelope in envelopes if kind(envelope) == each]
        assert [envelope for batch in of_this for envelope in batch] == wanted
        assert len(of_this) == -(-len(wanted) // size)


def test_an_envelope_above_the_bound_travels_alone() -> None:
    small, large = Encoded("s", "x"), Encoded("l", "x" * 100)
    assert list(cut([small, large, small], size=9, max_bytes=50)) == [[small], [large], [small]]


def test_batches_are_cut_as_they_are_asked_for() -> None:
    def endless():
        while True:
            yield Encoded("a", "x")

    batches = cut(endless(), size=3, max_bytes=100)
    assert len(next(batches)) == len(next(batches)) == 3


def test_no_envelopes_are_no_batch() -> None:
    assert list(cut([], size=1, max_bytes=1)) == []


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (1, "(1 messages, 1.5 kB: id-0)"),
        (2, "(2 messages, 1.5 kB: id-0, id-1)"),
        (10, "(10 messages, 1.5 kB: " + ", ".join(f"id-{n}" for n in range(10)) + ")"),
        (12, "(12 messages, 1.5 kB: " + ", ".join(f"id-{n}" for n in range(10)) + ", and 2 more)"),
    ],
)
def test_a_batch_is_described_by_count_size_and_ids(count: int, shown: str) -> None:
    assert describe([f"id-{n}" for n in range(count)], 1500) == shown
