"""A gate is found where questions are told apart, with a threshold between both kinds."""

from __future__ import annotations

import numpy as np
import pytest

from trimtab.engine.math import probability
from trimtab.vectors import gates


def questions(apart: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    related = np.arange(150) < 50
    states = rng.normal(size=(150, 64)).astype(np.float32)
    states[related, 3] += apart
    return states, related


def test_the_layer_that_tells_best_is_taken() -> None:
    weak, related = questions(0.5)
    clear, _ = questions(8.0, seed=1)
    found = gates.fit_gate({2: weak, 4: clear, 6: weak}, related)
    assert found.layer == 4
    assert found.opened == found.closed == found.accuracy == 1.0


def test_of_layers_that_tell_alike_the_middle_one_is_taken() -> None:
    clear, related = questions(12.0)
    assert gates.fit_gate({1: clear, 3: clear, 5: clear}, related).layer == 3


def test_the_threshold_stands_between_both_kinds() -> None:
    clear, related = questions(8.0)
    found = gates.fit_gate({0: clear}, related)
    score = probability(clear @ found.weight + found.bias)
    assert score[related].min() > found.threshold > score[~related].max()


def test_what_cannot_be_told_is_not_claimed() -> None:
    noise, related = questions(0.0)
    assert gates.fit_gate({0: noise}, related).accuracy < 0.65


def test_figures_are_of_questions_that_the_gate_did_not_learn() -> None:
    # A thousand dimensions fit any 150 questions wholly; held out, they tell nothing.
    rng = np.random.default_rng(3)
    states, related = rng.normal(size=(150, 1000)).astype(np.float32), np.arange(150) < 50
    found = gates.fit_gate({0: states}, related)
    score = probability(states @ found.weight + found.bias)
    assert ((score > 0.5) == related).all()
    assert found.accuracy < 0.65


@pytest.mark.parametrize(("depth", "count"), [(2, 1), (8, 5), (32, 8), (80, 8)])
def test_candidates_lie_in_the_middle_of_the_model(depth: int, count: int) -> None:
    found = gates.candidates(range(depth), depth)
    assert len(found) >= count and found == tuple(sorted(set(found)))
    assert min(found) >= 0.2 * depth - 1 and max(found) < max(0.9 * depth, 2)
