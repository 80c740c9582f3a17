"""Text from a model is whole characters without control codes, and ends where a stop string begins."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.engine.text import StopScanner, TextStream, clean

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@given(st.text())
def test_no_control_or_bidi_character_is_left(text: str) -> None:
    kept = clean(text)
    assert not [c for c in kept if unicodedata.category(c) == "Cc" and c not in "\n\t"]
    assert not set(kept) & set(BIDI)


@given(st.text(alphabet=st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp", "Cn"))))
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert clean(text) == text


def test_an_escape_sequence_loses_its_escape() -> None:
    assert clean("\x1b[31mred\x1b]0;title\x07\x9b2J") == "[31mred]0;title2J"


def test_emoji_joined_by_zero_width_joiners_stay_whole() -> None:
    assert clean("👩‍👩‍👧") == "👩‍👩‍👧"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.integers(1, 5))
def test_split_bytes_come_together_again(text: str, size: int) -> None:
    data = text.encode()
    stream = TextStream()
    parts = [stream.feed(data[at : at + size]) for at in range(0, len(data), size)]
    # A carriage return that ends one piece cannot know of the newline that begins the next; it goes either way.
    assert clean("".join(parts) + stream.finish()).replace("\r", "") == clean(text)


def test_half_a_character_is_held_back() -> None:
    stream = TextStream()
    first, rest = "é".encode()[:1], "é".encode()[1:]
    assert (stream.feed(first), stream.feed(rest)) == ("", "é")


def test_an_unfinished_character_shows_as_a_replacement_at_the_end() -> None:
    stream = TextStream()
    stream.feed("日".encode()[:2])
    assert stream.finish() == "\N{REPLACEMENT CHARACTER}"


@given(
    st.text(alphabet="abc", max_size=40),
    st.lists(st.text(alphabet="abc", min_size=1, max_size=4), max_size=3),
    st.integers(1, 4),
)
def test_a_stop_is_found_wherever_pieces_break(text: str, stops: list[str], size: int) -> None:
    scanner = StopScanner(stops)
    shown = ""
    for at in range(0, len(text), size):
        shown += scanner.feed(text[at : at + size])
        if scanner.stopped:
            break
    else:
        shown += scanner.finish()
    places = [text.find(stop) for stop in stops if stop in text]
    ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
    if not places:
        assert shown == text
        return
    # Fed piece by piece, the stop that is complete first wins; in the same piece, the one that begins first.
    first_piece = (min(ends) + size - 1) // size * size
    assert shown == text[: min(p for p, e in zip(places, ends, strict=True) if e <= first_piece)]


@pytest.mark.parametrize("piece", ["sto", "s", "xs"])
def test_text_that_may_begin_a_stop_waits(piece: str) -> None:
    scanner = StopScanner(["stop"])
    assert scanner.feed(piece) == piece.removesuffix("sto").removesuffix("s")
