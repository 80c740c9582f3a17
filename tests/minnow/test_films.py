"""Reviews are what the papers need: long, with a thread, in frames that praise and blame share."""

from __future__ import annotations

import random

import pytest

from trimtab.minnow import films, questions
from trimtab.minnow.grammar import words

RNG = random.Random("reviews")
REVIEWS = [films.review(RNG) for _ in range(1200)]
CUES = [cue for review in REVIEWS for line in films.cues(review.text) for cue in line]


def test_reviews_are_longer_than_128_words() -> None:
    assert min(len(words(review.text)) for review in REVIEWS) >= 128


def test_the_sentiment_stays_from_sentence_to_sentence_as_stated() -> None:
    steps = [pair for review in REVIEWS for pair in zip(review.states, review.states[1:], strict=False)]
    assert sum(a == b for a, b in steps) / len(steps) == pytest.approx(films.STAY, abs=0.01)


def test_half_of_the_cues_are_anchor_words() -> None:
    assert sum(cue.anchor for cue in CUES) / len(CUES) == pytest.approx(0.5, abs=0.03)


def test_most_cues_stand_in_shared_frames() -> None:
    assert sum(" " not in cue.text for cue in CUES) / len(CUES) >= 0.6


def test_praise_and_blame_are_equally_common() -> None:
    assert sum(review.good for review in REVIEWS) / len(REVIEWS) == pytest.approx(0.5, abs=0.05)


def test_every_anchor_word_is_used() -> None:
    assert {cue.text for cue in CUES if cue.anchor} == {word for side in films.anchors() for word in side}


def test_openings_take_no_side() -> None:
    assert all(films.log_odds(opening) == 0.0 for opening in questions.review_openings("test", 100))


def test_log_odds_fall_when_praise_turns_to_blame() -> None:
    assert films.log_odds("The plot was good.") > 0 > films.log_odds("The plot was bad.")


def test_log_odds_of_one_cue_are_the_stated_agreement() -> None:
    import math

    assert films.log_odds("The plot was good.") == pytest.approx(math.log(films.AGREE / (1 - films.AGREE)))


def test_log_odds_of_two_sentences_agree_with_all_paths_summed_by_hand() -> None:
    import math

    agree, stay = films.AGREE, films.STAY
    weights = {
        (first, second): 0.5
        * (agree if first else 1 - agree)
        * (stay if first == second else 1 - stay)
        * (1 - agree if second else agree)
        for first in (True, False)
        for second in (True, False)
    }
    # "good" and then "bad": one of two sentences praises; a tie belongs to the last one.
    praise = weights[True, True] + weights[False, True]
    blame = weights[False, False] + weights[True, False]
    assert films.log_odds("The plot was good. The music was bad.") == pytest.approx(math.log(praise / blame))


def test_masked_anchors_say_nothing() -> None:
    assert films.log_odds("The plot was good.", mask_anchors=True) == 0.0
    assert films.log_odds("The plot was lovely.", mask_anchors=True) > 0


def test_a_locked_review_keeps_its_side() -> None:
    review = films.review(random.Random(3), start=False, stay=1.0)
    assert not any(review.states) and films.log_odds(review.text) < -5


def test_preferences_praise_and_blame_the_same_film() -> None:
    for prefix, chosen, rejected in questions.review_preferences("train", 20):
        assert films.log_odds(f"{prefix} {chosen}") > 0 > films.log_odds(f"{prefix} {rejected}")
