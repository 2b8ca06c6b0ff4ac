"""What a worker says of a task's arguments."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailqueue.batch import describe
from worker.request import discreet


@given(st.lists(st.uuids(), min_size=1, max_size=60), st.integers(0, 10**9))
def test_what_we_say_of_a_batch_is_shown(ids: list[uuid.UUID], size: int):
    said = describe([one.hex for one in ids], size)
    assert discreet(said) == said


@pytest.mark.parametrize(
    "said",
    [
        "",
        "()",
        '([\'{"to": ["ann@example.com"]}\'],)',
        "(1 messages, 0.3 kB: Dear Ann)",
        "(2 messages, 0.3 kB: 0123456789abcdef0123456789abcdef",
        # Each id alone could be cut into numbers in thousands of ways.
        f"({'1234567890' * 1000}: {'0123456789abcdef' * 1000})",
    ],
)
def test_nothing_else_is(said):
    assert discreet(said) == "(not shown)"
