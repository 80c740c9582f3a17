"""Our logistic regression is scikit-learn's, and no text is judged by a probe that saw its pair."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from trimtab.vectors import probes


def clouds(count: int, width: int, apart: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two clouds of points whose middles lie so far apart along one direction."""
    rng = np.random.default_rng(seed)
    positive = np.arange(count) % 2 == 0
    states = rng.normal(size=(count, width))
    states[:, 0] += np.where(positive, apart, -apart)
    return states, positive


@pytest.mark.parametrize(
    ("count", "width", "apart"),
    [(60, 200, 0.5), (60, 200, 6.0), (300, 12, 0.3), (300, 12, 30.0), (40, 40, 0.0), (140, 4096, 1.0)],
)
@pytest.mark.parametrize("c", [0.1, 1.0, 50.0])
def test_a_probe_is_scikit_learns(count: int, width: int, apart: float, c: float) -> None:
    states, positive = clouds(count, width, apart)
    ours = probes.fit(probes.gram_of(states), positive, c)
    theirs = LogisticRegression(C=c, tol=1e-10, max_iter=20_000).fit(states, positive)
    scale = np.linalg.norm(theirs.coef_[0])
    assert np.linalg.norm(ours.weight(states) - theirs.coef_[0]) < 2e-4 * scale + 1e-6
    assert ours.bias == pytest.approx(theirs.intercept_[0], abs=float(2e-4 * (1 + scale)))


def test_a_probe_is_at_the_bottom_of_its_loss() -> None:
    states, positive = clouds(80, 300, 1.0)
    gram = probes.gram_of(states)
    found = probes.fit(gram, positive)
    pull = probes.C * (positive - 1 / (1 + np.exp(-found.logits(gram))))
    assert np.abs(found.alpha - pull).max() < 1e-8
    assert abs(pull.sum()) < 1e-8


def test_clouds_far_apart_or_all_alike_have_a_probe_too() -> None:
    for states, positive in (clouds(50, 20, 1e4), (np.zeros((10, 5)), np.arange(10) % 2 == 0)):
        found = probes.fit(probes.gram_of(states), positive)
        assert np.isfinite(found.alpha).all() and np.isfinite(found.bias)


def test_states_of_any_size_converge() -> None:
    states, positive = clouds(100, 64, 0.8)
    for size in (1e-4, 1e-2, 1.0, 1e2, 1e4):
        gram = probes.gram_of(states * size)
        found = probes.fit(gram, positive)
        pull = probes.C * (positive - 1 / (1 + np.exp(-found.logits(gram))))
        assert np.abs(found.alpha - pull).max() < 1e-6, size


def test_no_text_is_judged_by_a_probe_that_saw_its_pair() -> None:
    # Both sides of a pair lie at one far place of their own, a little apart along nothing in common: a probe that saw
    # one side would be right about the other only by knowing the place.
    rng = np.random.default_rng(0)
    places = rng.normal(size=(40, 400)) * 30
    states = np.repeat(places, 2, axis=0) + rng.normal(size=(80, 400))
    positive = np.arange(80) % 2 == 0
    logits = probes.held_out(probes.gram_of(states), positive, np.arange(80) // 2, 5)
    assert 0.3 < ((logits > 0) == positive).mean() < 0.7


def test_folds_judge_each_text_once_as_a_fit_without_it_does() -> None:
    states, positive = clouds(30, 50, 1.0)
    groups = np.arange(30) // 2
    gram = probes.gram_of(states)
    logits = probes.held_out(gram, positive, groups, 3)
    outside = groups % 3 == 1
    alone = LogisticRegression(C=1.0, tol=1e-10, max_iter=20_000).fit(states[~outside], positive[~outside])
    assert np.allclose(logits[outside], alone.decision_function(states[outside]), atol=1e-3)
