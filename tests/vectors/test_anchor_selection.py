"""Anchor words are the words with the greatest mean log-ratios, and nothing that is no word."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from trimtab.vectors.anchor_selection import Response, Selected, select

Ratios = Mapping[str, float]


class Side:
    """Responses written as tokens parted by `|`, with log-ratios by token."""

    def __init__(self) -> None:
        self.pieces: dict[int, bytes] = {}
        self._ids: dict[str, int] = {}

    def of(self, ratios: Ratios, *texts: str) -> list[Response]:
        responses = []
        for text in texts:
            tokens = text.split("|")
            ids = tuple(self._id(token) for token in tokens)
            below = np.full(len(ids), -3.0, dtype=np.float32)
            above = below + np.array([ratios.get(token.strip(), 0.0) for token in tokens], dtype=np.float32)
            responses.append(Response(ids, above, below))
        return responses

    def _id(self, token: str) -> int:
        found = self._ids.setdefault(token, len(self._ids))
        self.pieces[found] = token.encode()
        return found


@pytest.fixture
def side() -> Side:
    return Side()


def words(found: Selected) -> tuple[list[str], list[str]]:
    return [each.word for each in found.positive], [each.word for each in found.negative]


def test_the_score_is_the_mean_over_occurrences(side: Side) -> None:
    low, high = side.of({"kind": 1.0}, " be| kind| now"), side.of({"kind": 3.0}, " be| kind| now")
    found = select([*low * 3, *high], [], side.pieces, least=4)
    (anchor,) = found.positive
    assert (anchor.word, anchor.count) == ("kind", 4)
    assert anchor.score == pytest.approx((3 * 1.0 + 3.0) / 4)


def test_chosen_responses_give_what_is_raised_and_rejected_ones_what_is_lowered(side: Side) -> None:
    chosen = side.of({"kind": 2.0, "fool": -4.0}, " kind| fool|.") * 5
    rejected = side.of({"kind": 5.0, "idiot": -1.0}, " kind| idiot|.") * 5
    assert words(select(chosen, rejected, side.pieces)) == (["kind"], ["idiot"])


def test_the_best_k_are_taken_in_order(side: Side) -> None:
    ratios = {f"word{chr(97 + n)}": float(n) for n in range(15)}
    chosen = side.of(ratios, "".join(f"| {word}" for word in ratios).strip("|")) * 5
    found = select(chosen, [], side.pieces)
    assert [each.word for each in found.positive] == [f"word{chr(97 + n)}" for n in range(14, 4, -1)]
    assert len(select(chosen, [], side.pieces, most=3).positive) == 3


def test_four_occurrences_are_too_few(side: Side) -> None:
    four, five = side.of({"rare": 9.0}, " rare| thing"), side.of({"common": 1.0}, " common| thing")
    assert words(select(four * 4 + five * 5, [], side.pieces)) == (["common"], [])


def test_pieces_of_words_numbers_and_signs_are_no_words(side: Side) -> None:
    ratios = {"un": 9.0, "likely": 9.0, "42": 9.0, "!": 9.0, "don": 9.0, "'t": 9.0, "": 9.0, "sure": 1.0}
    chosen = side.of(ratios, " un|likely| 42|!| don|'t| | sure|.") * 5
    assert words(select(chosen, [], side.pieces)) == (["sure"], [])


def test_names_are_left_out_and_words_at_the_start_of_a_sentence_are_none(side: Side) -> None:
    ratios = {"Anna": 9.0, "Sorry": 2.0, "I": 1.0}
    chosen = side.of(ratios, "Sorry|,| I| told| Anna|.", "We| saw| Anna|.| Sorry|,| I| did|.") * 5
    found = select(chosen, [], side.pieces)
    assert words(found) == (["Sorry", "I"], []) and found.names == ("anna",)
    assert "Anna" in words(select(chosen, [], side.pieces, keep_names=True))[0]


def test_the_forms_of_a_word_are_one_word(side: Side) -> None:
    chosen = side.of({"Please": 2.0, "please": 3.0}, "Please| go|.", " go| please|.") * 5
    assert words(select(chosen, [], side.pieces)) == (["please"], [])


def test_no_word_is_on_both_sides(side: Side) -> None:
    chosen = side.of({"well": 1.0, "good": 1.0}, " well| good|.") * 5
    rejected = side.of({"well": -2.0, "bad": -1.0}, " well| bad|.") * 5
    assert words(select(chosen, rejected, side.pieces)) == (["good"], ["well", "bad"])


def test_a_word_can_be_left_out_by_hand(side: Side) -> None:
    chosen = side.of({"the": 5.0, "kind": 1.0}, " the| kind|.") * 5
    assert words(select(chosen, [], side.pieces, leave_out=("The",))) == (["kind"], [])


def test_what_tells_nothing_apart_is_no_anchor(side: Side) -> None:
    chosen = side.of({}, " the| same|.") * 5
    assert words(select(chosen, chosen, side.pieces)) == ([], [])
