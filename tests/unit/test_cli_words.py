"""How the command line says and reads times."""

import contextlib
import time

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailqueue.cli import words
from mailqueue.cli.tables import as_id, plain
from mailqueue.routes import Paused

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def read(text: str) -> float:
    return words.Age().convert(text, None, None)


@given(st.integers(0, 10**9), st.sampled_from(list(UNITS)))
def test_an_age_is_a_number_and_a_unit(number, unit):
    assert read(f"{number}{unit}") == number * UNITS[unit]


@given(st.text(max_size=20))
def test_any_text_is_an_age_or_wrong_usage(text):
    seconds = -1.0
    with contextlib.suppress(click.BadParameter):
        seconds = read(text)
    assert seconds >= 0 or seconds == -1


@pytest.mark.parametrize("text", ["", "90", "s", "-3d", "3 d", "3x", "1e3s", "٣d", "nan", "infs"])
def test_a_unit_is_never_guessed(text):
    with pytest.raises(click.BadParameter):
        read(text)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e18, max_value=1e18))
def test_any_span_and_moment_can_be_said(seconds):
    assert words.age(seconds)
    assert words.moment(seconds)


@given(st.integers(0, 10**8))
def test_an_age_in_words_never_says_more_than_it_is(seconds):
    number, unit = words.age(seconds).replace(",", "").replace("min", "m").split()
    said = int(number) * UNITS[unit]
    assert said <= seconds < said * 2 + 60


def test_a_pause_by_hand_says_so_and_how_to_end_it():
    said = words.pause(Paused("bulk", "manual", "new server", time.time() - 3600, None), 1)
    assert said == (
        "bulk: paused by hand 60 min ago (new server), 1 mail waits; "
        "to go on: mailqueue routes resume bulk"
    )


def test_a_pause_says_since_when_why_how_much_waits_and_what_to_do():
    now = time.time()
    said = words.pause(Paused("default", "login", "535 5.7.8 no", now - 725, now + 185), 1000)
    assert said == (
        "default: paused 12 min (login: 535 5.7.8 no), 1,000 mails wait; tried again in 3 min; "
        "once corrected: mailqueue routes resume default"
    )


def test_a_server_cannot_write_to_the_terminal():
    assert plain("550 \x1b[31mred\x07[bold]").plain == "550 \ufffd[31mred\ufffd[bold]"


def test_an_id_may_be_given_as_the_message_id():
    assert as_id(f"<{'a' * 32}@host.example>") == as_id("a" * 32) == "a" * 32
