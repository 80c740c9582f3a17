"""Pairs are parted by their prompts, so that no step sees what another learnt from."""

from __future__ import annotations

import dataclasses
from itertools import combinations

import pytest

from tests.training.support import task, user
from trimtab.training.errors import TrainingError
from trimtab.training.minnow_pairs import minnow_pairs
from trimtab.training.pairs import Data, Pair, Parts, part


def keys(parts: Parts) -> list[set[str]]:
    return [{pair.key for pair in each} for each in (parts.one, parts.two, parts.held)]


def twice(data: Data) -> Data:
    """Every prompt a second time, with other responses."""
    more = tuple(dataclasses.replace(pair, chosen=f"{pair.chosen}!") for pair in data.pairs)
    return Data(data.pairs + more)


@pytest.mark.parametrize("seed", range(3))
def test_no_prompt_is_in_two_parts_and_no_pair_is_lost(seed: int) -> None:
    data = twice(task())
    parts = part(data, seed=seed, first_share=0.5, held_share=0.1)
    assert all(not (left & right) for left, right in combinations(keys(parts), 2))
    assert sorted(map(hash, (*parts.one, *parts.two, *parts.held))) == sorted(map(hash, data.pairs))
    assert [len(each) for each in keys(parts)] == [18, 18, 4]


def test_the_same_seed_parts_them_the_same_way_and_another_does_not() -> None:
    first, again, other = (part(task(), seed=seed, first_share=0.5, held_share=0.1) for seed in (1, 1, 2))
    assert first == again
    assert first.digests() == again.digests()
    assert first.digests()["one"] != other.digests()["one"]


def test_data_that_hold_out_their_own_validation_lose_nothing_more_and_train_on_none_of_it() -> None:
    held = task().pairs[:3]
    parts = part(dataclasses.replace(task(), held=held), seed=0, first_share=0.5, held_share=0.1)
    assert parts.held == held
    assert len(parts.one) + len(parts.two) == 37
    assert not {pair.key for pair in held} & {pair.key for pair in (*parts.one, *parts.two)}


def test_all_of_them_may_go_to_one_step() -> None:
    parts = part(task(), seed=0, first_share=1.0, held_share=0.0)
    assert (len(parts.one), len(parts.two), len(parts.held)) == (40, 0, 0)


def test_pairs_without_a_preference_teach_nothing() -> None:
    with pytest.raises(TrainingError, match="no pair"):
        part(Data((Pair("yes", "yes", user("well?")),)), seed=0, first_share=0.5, held_share=0.0)


def test_the_grammar_writes_pairs_with_a_validation_of_other_prompts() -> None:
    data = minnow_pairs("minnow:answers:40")
    assert len(data.pairs) == 40 and data.held and data.good and data.bad
    assert not {pair.key for pair in data.pairs} & {pair.key for pair in data.held}
    reviews = minnow_pairs("minnow:reviews:3").pairs
    assert all(pair.text and pair.chosen.startswith(" ") and not pair.prompt for pair in reviews)


@pytest.mark.parametrize("name", ["minnow:poems", "minnow:answers:many", "minnow:answers:0"])
def test_data_that_the_grammar_does_not_write_are_named(name: str) -> None:
    with pytest.raises(TrainingError, match=name):
        minnow_pairs(name)
