"""How anchor words are typed, and what is said of those that cannot be read."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.plugins.anchor_words import MAX_WORDS, Sides, Word, parse_anchors
from trimtab.plugins.errors import AnchorError

GOOD, BEST, BAD = Word("good"), Word("best"), Word("bad")


@pytest.mark.parametrize(
    "text",
    [
        "+ good best - bad",
        "+good best -bad",
        "+good +best - bad",
        "- bad + good best",
        "+ good, best - bad",
        "+ good - bad + best",
        "  +good\tbest\n\N{MINUS SIGN}bad ",
        '+"good" “best” - "bad"',
    ],
)
def test_signs_say_the_side_of_the_words_after_them(text: str) -> None:
    assert parse_anchors(text) == Sides((GOOD, BEST), (BAD,))


def test_one_side_is_enough() -> None:
    assert parse_anchors("- bad") == Sides((), (BAD,))


def test_weights_follow_a_colon() -> None:
    sides = parse_anchors('+ good:2 best "very good":0.5')
    assert sides.positive == (Word("good", 2.0), BEST, Word("very good", 0.5))


def test_a_hyphen_within_a_word_is_no_sign() -> None:
    assert parse_anchors("+ well-made - so-so").negative == (Word("so-so"),)


def test_what_looks_like_a_sign_or_a_weight_can_be_quoted() -> None:
    assert parse_anchors('+ "-ish" "9:2"').positive == (Word("-ish"), Word("9:2"))


def test_control_characters_are_no_part_of_a_word() -> None:
    assert parse_anchors("+ go\x1bod") == Sides((GOOD,))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no anchor words"),
        ("   ", "no anchor words"),
        ("good best", "“good” stands before any sign"),
        ("+", "No word follows the sign at column 1"),
        ("+ good -", "No word follows the sign at column 8"),
        ("+ - bad", "No word follows the sign at column 1"),
        ('+ "not nice', "The quote at column 3 is not closed"),
        ('+ ""', "The quotes at column 3 hold nothing"),
        ("+ good:", "The weight of “good” is “”, which is no number"),
        ("+ good:much", "The weight of “good” is “much”"),
        ("+ good:0", "The weight of “good” is 0;"),
        ("+ good:-1", "The weight of “good” is -1;"),
        ("+ good:nan", "The weight of “good” is nan"),
        ("+ good:inf", "The weight of “good” is inf"),
        ("+ :2", "A colon at column 3 follows no word"),
        ('+ "good"bad', "Something follows “good” without a blank"),
        ("+ good best good", "“good” is among the positive anchor words twice"),
        ("+ good Good", "“Good” is among the positive anchor words twice"),
        ("+ good - bad good", "“good” is an anchor word on both sides"),
        ("+ " + " ".join(f"w{number}" for number in range(MAX_WORDS + 1)), f"{MAX_WORDS} are the most"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, said: str) -> None:
    with pytest.raises(AnchorError) as caught:
        parse_anchors(text)
    assert said in caught.value.what


def test_swapping_turns_the_model_the_other_way() -> None:
    assert parse_anchors("+ good - bad").swapped() == parse_anchors("+ bad - good")


WORDS = st.builds(
    Word,
    st.text(st.characters(codec="utf-8", exclude_characters='"“”'), min_size=1).filter(
        lambda text: bool(Word(f"x{text}").text[1:].strip())
    ),
    st.floats(0.001, 1000),
)


@given(st.lists(WORDS, min_size=1, max_size=6, unique_by=lambda word: word.text.casefold()))
def test_what_is_written_is_read_again(words: list[Word]) -> None:
    half = len(words) // 2
    sides = Sides(tuple(words[:half]), tuple(words[half:]))
    assert parse_anchors(str(sides)) == sides


@given(st.text(st.sampled_from('+-:," “”ab2\N{MINUS SIGN}')))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(AnchorError):
        sides = parse_anchors(text)
        assert sides.positive or sides.negative
