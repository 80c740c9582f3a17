"""The sampler cuts and draws as its settings say, and a seed settles what it draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.engine.contract import Sampling
from trimtab.engine.sampling import Sampler
from trimtab.errors import EngineError, TrimtabError

FloatArray = npt.NDArray[np.float32]
OPEN: dict[str, Any] = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}


def logits_of(seed: int, size: int) -> FloatArray:
    return (np.random.default_rng(seed).standard_normal(size) * 3).astype(np.float32)


def probabilities(logits: FloatArray) -> npt.NDArray[np.float64]:
    weights = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(weights / weights.sum())


def drawn(sampling: Sampling, logits: FloatArray, times: int) -> list[int]:
    sampler = Sampler(sampling)
    return [sampler.choose(logits)[0] for _ in range(times)]


def test_temperature_zero_takes_the_likeliest() -> None:
    logits = logits_of(1, 500)
    assert drawn(Sampling(temperature=0), logits, 3) == [int(logits.argmax())] * 3


def test_the_same_seed_draws_the_same_tokens() -> None:
    logits = logits_of(2, 500)
    assert drawn(Sampling(seed=7), logits, 50) == drawn(Sampling(seed=7), logits, 50)


def test_other_seeds_draw_other_tokens() -> None:
    logits = logits_of(2, 500)
    assert drawn(Sampling(seed=7, **OPEN), logits, 50) != drawn(Sampling(seed=8, **OPEN), logits, 50)


@pytest.mark.parametrize("size", [300, 5000])
def test_without_cuts_tokens_come_as_often_as_the_model_says(size: int) -> None:
    logits = logits_of(3, size)
    counts = np.bincount(drawn(Sampling(seed=1, **OPEN), logits, 20_000), minlength=size)
    expected = probabilities(logits) * 20_000
    often = expected > 100
    assert np.all(np.abs(counts - expected)[often] < 5 * np.sqrt(expected[often]))


@given(st.integers(0, 10_000), st.integers(1, 60), st.sampled_from([40, 2000]))
def test_top_k_keeps_the_k_likeliest(seed: int, k: int, size: int) -> None:
    logits = logits_of(seed, size)
    allowed = set(np.argsort(-logits)[:k].tolist())
    assert set(drawn(Sampling(**{**OPEN, "top_k": k, "temperature": 5.0}, seed=seed), logits, 30)) <= allowed


@given(st.integers(0, 10_000), st.floats(0.05, 0.99), st.sampled_from([40, 3000]))
def test_top_p_keeps_the_smallest_set_of_that_mass(seed: int, p: float, size: int) -> None:
    logits = logits_of(seed, size)
    order = np.argsort(-logits, kind="stable")
    mass = np.cumsum(probabilities(logits)[order])
    allowed = set(order[: 1 + int(np.searchsorted(mass, p + 1e-9))].tolist())
    assert set(drawn(Sampling(**{**OPEN, "top_p": p, "temperature": 5.0}, seed=seed), logits, 30)) <= allowed


@given(st.integers(0, 10_000), st.floats(0.01, 1.0), st.sampled_from([40, 3000]))
def test_min_p_keeps_what_is_at_least_that_share_of_the_likeliest(seed: int, p: float, size: int) -> None:
    logits = logits_of(seed, size)
    allowed = set(np.flatnonzero(logits >= logits.max() + np.log(p) - 1e-4).tolist())
    assert set(drawn(Sampling(**{**OPEN, "min_p": p, "temperature": 5.0}, seed=seed), logits, 30)) <= allowed


def test_a_cut_over_a_large_vocabulary_draws_all_that_it_allows() -> None:
    logits = logits_of(4, 5000)
    order = np.argsort(-logits, kind="stable")
    mass = np.cumsum(probabilities(logits)[order])
    allowed = order[: 1 + int(np.searchsorted(mass, 0.3))]
    found = set(drawn(Sampling(**{**OPEN, "top_p": 0.3, "temperature": 100.0}, seed=5), logits, 4000))
    assert found == set(allowed.tolist())


def test_the_repeat_penalty_turns_away_from_what_was_said() -> None:
    logits = np.array([2.0, 1.9, -1.0], dtype=np.float32)
    assert drawn(Sampling(temperature=0, repeat_penalty=1.5), logits, 2) == [0, 1]


def test_the_repeat_penalty_remembers_the_prompt() -> None:
    logits = np.array([2.0, 1.9, -1.0], dtype=np.float32)
    assert Sampler(Sampling(temperature=0, repeat_penalty=1.5), [0]).choose(logits)[0] == 1


@given(st.integers(0, 10_000))
def test_the_logprob_is_that_of_the_model_before_any_cut(seed: int) -> None:
    logits = logits_of(seed, 200)
    token, logprob = Sampler(Sampling(seed=seed, repeat_penalty=1.3), [1, 2, 3]).choose(logits)
    assert logprob == pytest.approx(np.log(probabilities(logits)[token]), abs=1e-4)


def test_a_seed_that_was_not_given_is_told() -> None:
    logits = logits_of(6, 200)
    sampler = Sampler(Sampling(**OPEN))
    first = [sampler.choose(logits)[0] for _ in range(20)]
    assert drawn(Sampling(seed=sampler.seed, **OPEN), logits, 20) == first


def test_output_that_is_no_number_is_an_error() -> None:
    with pytest.raises(EngineError, match="not a number"):
        Sampler(Sampling()).choose(np.full(10, np.nan, dtype=np.float32))


@pytest.mark.parametrize(
    "setting", [{"temperature": -1.0}, {"top_p": 1.5}, {"min_p": -0.1}, {"max_tokens": 0}, {"stop": ("",)}]
)
def test_settings_out_of_range_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(TrimtabError):
        Sampling(**setting)
