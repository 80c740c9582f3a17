"""Directions are the mean of the differences and their first principal component, and point to the value."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from trimtab.vectors import directions


def sides(mean: float, spread: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pairs whose difference has a mean along the first axis and spreads along the second."""
    rng = np.random.default_rng(seed)
    negative = rng.normal(size=(60, 24)) * 3
    difference = rng.normal(size=(60, 24)) * 0.1
    difference[:, 0] += mean
    difference[:, 1] += rng.normal(size=60) * spread
    return negative + difference, negative


def test_the_mean_difference_is_that_of_the_pairs() -> None:
    positive, negative = sides(2.0, 1.0)
    found = directions.mean_difference(positive, negative)
    assert np.allclose(found.unit * found.length, (positive - negative).mean(axis=0))
    assert np.linalg.norm(found.unit) == pytest.approx(1.0)


def test_pairs_without_a_difference_have_no_direction() -> None:
    positive, _ = sides(2.0, 1.0)
    assert directions.mean_difference(positive, positive).length == 0
    assert directions.component(positive, positive).length == 0
    assert directions.component(positive, positive).sign == 0


def test_uncentred_the_component_keeps_the_mean_that_matters() -> None:
    positive, negative = sides(2.0, 1.0)
    assert directions.component(positive, negative).unit[0] > 0.9
    assert abs(directions.component(positive, negative, centred=True).unit[1]) > 0.9


def test_centred_it_is_what_a_centring_pca_of_the_differences_finds() -> None:
    positive, negative = sides(0.7, 1.0)
    found = directions.component(positive, negative, centred=True)
    theirs = PCA(n_components=1).fit(positive - negative).components_[0]
    assert abs(found.unit @ theirs) > 0.999999


def test_the_sign_is_set_by_the_pairs() -> None:
    positive, negative = sides(2.0, 0.5)
    forth, back = directions.component(positive, negative), directions.component(negative, positive)
    assert forth.unit[0] > 0.9 and back.unit[0] < -0.9
    assert forth.sign == back.sign == 1
