"""The context-bias test: which words count, how they are compared, what the verdict is."""

from __future__ import annotations

import random

import pytest

from trimtab.vectors.bias import SIZE, context_bias
from trimtab.vectors.words import is_context, stem, words

MONEY = [
    "bank",
    "loan",
    "rent",
    "tax",
    "wage",
    "coin",
    "purse",
    "bill",
    "fund",
    "debt",
    "price",
    "salary",
    "bonus",
]
BEACH = [
    "sand",
    "wave",
    "shell",
    "sail",
    "dune",
    "tide",
    "boat",
    "gull",
    "reef",
    "coast",
    "island",
    "harbor",
    "surf",
]
BOTH = [*MONEY, *BEACH]


def sentences(vocabulary: list[str], marks: list[str], count: int = 60, seed: int = 1) -> list[str]:
    """Sentences about the words of a vocabulary, each with one word that shows the value."""
    rng = random.Random(seed)
    return [
        f"We {rng.choice(marks)} with the {' and the '.join(rng.sample(vocabulary, 4))}."
        for _ in range(count)
    ]


def test_sides_about_the_same_things_are_controlled() -> None:
    bias = context_bias(sentences(BOTH, ["rest"]), sentences(BOTH, ["rush"], seed=2))
    assert bias.verdict == "controlled" and len(bias.shared) >= 20
    assert (bias.only_positive[0].word, bias.only_negative[0].word) == ("rest", "rush")


def test_sides_about_different_things_are_biased() -> None:
    bias = context_bias(sentences(MONEY, ["rest"]), sentences(BEACH, ["rest"]))
    assert bias.verdict == "biased"
    assert bias.shared == ("rest",)
    assert {count.word for count in bias.only_negative} == set(BEACH)


def test_what_is_half_shared_leans() -> None:
    left = sentences([*MONEY[:8], *BEACH], ["go"])
    right = sentences([*MONEY[:8], *(f"{word}yard" for word in BEACH)], ["go"])
    bias = context_bias(left, right)
    assert (bias.verdict, len(bias.shared), bias.size) == ("leaning", 8, 21)


def test_function_words_do_not_count() -> None:
    bias = context_bias(
        ["I would not have it, and they could never be there."], ["You should do this with us."]
    )
    assert bias.size == 0


def test_no_more_than_twenty_five_words_are_compared() -> None:
    many = [f"{a}{b}x" for a in "abcdefgh" for b in "klmnop"]
    bias = context_bias(sentences(many, ["rest"]), sentences(many, ["rush"]))
    assert bias.size == SIZE == 25


def test_a_word_counts_once_for_a_text() -> None:
    bias = context_bias(["money money money money", "shoes", "shoes"], ["shoes", "shoes", "money"])
    assert bias.shared == ("shoes", "money")


def test_among_equally_frequent_words_the_shared_ones_come_first() -> None:
    left = [f"{word} {word}ness" for word in BOTH]
    right = [f"{word} {word}hood" for word in BOTH]
    assert len(context_bias(left, right).shared) == 25


def test_what_both_sides_of_a_pair_have_in_common_is_measured() -> None:
    bias = context_bias(
        ["The red house burns slowly.", "The cat sleeps."], ["The red house stands firmly.", "A dog barks."]
    )
    assert bias.within == pytest.approx((0.5 + 0.0) / 2)


def test_in_other_languages_words_that_are_everywhere_do_not_count() -> None:
    left = [f"Wir gehen mit dem {word} nach Hause" for word in BOTH]
    right = [f"Wir laufen mit dem {word} nach Hause" for word in BOTH]
    bias = context_bias(left, right, "de")
    assert not {"mit", "dem", "nach", "wir", "hause"} & set(bias.shared)
    assert "bank" in bias.shared


def test_words_are_read_without_their_endings() -> None:
    assert words("Anna's dog; we'll go, DON’T stop: 3 x 20.") == [
        "anna",
        "dog",
        "we",
        "go",
        "don't",
        "stop",
        "3",
        "x",
        "20",
    ]
    assert words("我们回家") == ["我", "们", "回", "家"]


@pytest.mark.parametrize(
    "group", [("lock", "locks", "locked", "locking"), ("quiet", "quietly"), ("carry", "carries", "carried")]
)
def test_forms_of_a_word_have_one_stem(group: tuple[str, ...]) -> None:
    assert len({stem(word) for word in group}) == 1


def test_context_words_are_no_function_words() -> None:
    assert [word for word in ("the", "never", "can't", "up", "garden", "ox") if is_context(word, "en")] == [
        "garden"
    ]
