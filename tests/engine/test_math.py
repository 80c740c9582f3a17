"""The mathematics of steering, held against solvers and gradients that know nothing of it."""

from __future__ import annotations

import math as standard
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from trimtab.engine import math
from trimtab.engine.plan import JointRaise
from trimtab.errors import ProgramError

Matrix = npt.NDArray[np.float64]

seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=60, deadline=None)


def joint(
    weights: npt.ArrayLike,
    targets: npt.ArrayLike,
    *,
    biases: npt.ArrayLike | None = None,
    strengths: npt.ArrayLike | None = None,
    cap: float | None = None,
) -> JointRaise:
    rows = np.asarray(weights, dtype=np.float32)
    k = len(rows)
    return JointRaise(
        weights=rows,
        biases=np.zeros(k) if biases is None else np.asarray(biases, dtype=np.float64),
        targets=np.asarray(targets, dtype=np.float64),
        strengths=np.ones(k) if strengths is None else np.asarray(strengths, dtype=np.float64),
        labels=tuple(f"row {number}" for number in range(k)),
        cap=cap,
    )


@st.composite
def raises(draw: st.DrawFn, *, most: int = 12, capped: bool = False) -> tuple[JointRaise, Matrix, Matrix]:
    """A raise whose probes may be nearly parallel or nearly opposed, with states and their residuals."""
    random = np.random.default_rng(draw(seeds))
    k = draw(st.integers(1, most))
    width = draw(st.integers(k, 40))
    weights = random.standard_normal((k, width)) * random.uniform(0.2, 3, (k, 1))
    for near, sign in ((1, 1), (3, -1)):
        if k > near and draw(st.booleans()):
            weights[near] = sign * weights[near - 1] + weights[near] * 10.0 ** draw(st.floats(-3, 0))
    rows = joint(
        weights,
        random.uniform(-2, 4, k),
        biases=random.standard_normal(k),
        strengths=random.uniform(0.1, 1.3, k),
        cap=draw(st.floats(0.01, 5)) if capped else None,
    )
    states = random.standard_normal((draw(st.integers(1, 4)), width))
    return rows, states, residuals(rows, states)


def residuals(rows: JointRaise, states: Matrix) -> Matrix:
    logits = states @ rows.weights.astype(np.float64).T + rows.biases
    missing = rows.targets - logits
    return np.where(logits < rows.targets, rows.strengths * missing, missing)


def shortest(weights: Matrix, residual: Matrix) -> Matrix:
    """The shortest d with `weights @ d >= residual`: Lawson and Hanson's distance problem."""
    if (residual <= 0).all():
        return np.zeros(weights.shape[1])
    matrix = np.vstack([weights.T, residual])
    right = np.zeros(len(matrix))
    right[-1] = 1.0
    solution, _ = nnls(matrix, right, maxiter=10_000)
    gap = matrix @ solution - right
    return np.asarray(-gap[:-1] / gap[-1])


def close(left: npt.ArrayLike, right: npt.ArrayLike, *, to: float = 1e-5) -> bool:
    difference = np.linalg.norm(np.asarray(left) - np.asarray(right))
    return bool(difference <= to * max(1e-12, float(np.linalg.norm(right))))


class TestTarget:
    @given(st.floats(1e-3, 15))
    def test_the_probability_of_the_target_is_what_the_slider_asks(self, x: float) -> None:
        shortfall = math.probability(-math.target_logit(x))
        assert float(shortfall) == pytest.approx(0.1**x, rel=1e-9)

    @pytest.mark.parametrize("x", [8.0, 300.0, 1e6])
    def test_a_far_slider_has_a_finite_target(self, x: float) -> None:
        assert math.target_logit(x) == pytest.approx(x * standard.log(10), rel=1e-7)

    @pytest.mark.parametrize("x", [0.0, -1.0, standard.nan, standard.inf])
    def test_a_slider_that_is_not_above_zero_is_refused(self, x: float) -> None:
        with pytest.raises(ProgramError):
            math.target_logit(x)

    def test_a_probability_far_out_does_not_overflow(self) -> None:
        with np.errstate(all="raise", under="ignore"):
            assert math.probability([-1e4, 0.0, 1e4]).tolist() == [0.0, 0.5, 1.0]


class TestRaise:
    @few
    @given(raises(most=1))
    def test_one_probe_is_raised_as_in_the_paper(self, case: tuple[JointRaise, Matrix, Matrix]) -> None:
        rows, states, _ = case
        deltas, _, _ = math.raise_joint(states, rows)
        alone = math.raise_one(states, rows.weights[0], rows.biases[0], rows.targets[0], rows.strengths[0])
        assert close(deltas, alone, to=1e-12)

    @given(seeds)
    @settings(max_examples=20, deadline=None)
    def test_the_paper_s_raise_lands_on_its_target(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        state, weight = random.standard_normal(16), random.standard_normal(16)
        target = float(state @ weight) + 3.0
        raised = state + math.raise_one(state, weight, 0.25, target + 0.25)
        assert float(raised @ weight) == pytest.approx(target, rel=1e-12)

    @few
    @given(raises())
    def test_the_joint_shift_is_the_shortest_that_serves(
        self, case: tuple[JointRaise, Matrix, Matrix]
    ) -> None:
        rows, states, asked = case
        deltas, _, report = math.raise_joint(states, rows)
        assume(not report.limited.any())
        for delta, residual in zip(deltas, asked, strict=True):
            assert close(delta, shortest(rows.weights.astype(np.float64), residual))

    @few
    @given(raises())
    def test_every_target_is_reached(self, case: tuple[JointRaise, Matrix, Matrix]) -> None:
        rows, states, asked = case
        deltas, multipliers, report = math.raise_joint(states, rows)
        assume(not report.limited.any())
        reached = deltas @ rows.weights.astype(np.float64).T
        assert (multipliers >= 0).all()
        assert (reached >= asked - 1e-6 * np.abs(asked).max()).all()

    @few
    @given(raises())
    def test_a_token_is_raised_alike_alone_and_among_others(
        self, case: tuple[JointRaise, Matrix, Matrix]
    ) -> None:
        rows, states, _ = case
        together, _, _ = math.raise_joint(states, rows)
        alone = np.vstack([math.raise_joint(state[None], rows)[0] for state in states])
        assert close(together, alone, to=1e-7)

    def test_satisfied_targets_leave_the_states_exactly_alone(self) -> None:
        random = np.random.default_rng(1)
        states, weights = random.standard_normal((5, 8)), random.standard_normal((3, 8))
        lowest = (states @ weights.T).min(axis=0)
        deltas, multipliers, report = math.raise_joint(states, joint(weights, lowest - 0.1))
        assert not deltas.any()
        assert not multipliers.any()
        assert not report.limited.any()

    @given(st.floats(0.0, 1.0), seeds)
    @settings(max_examples=20, deadline=None)
    def test_strength_goes_that_part_of_the_way(self, strength: float, seed: int) -> None:
        random = np.random.default_rng(seed)
        state, weights = random.standard_normal((1, 8)), random.standard_normal((2, 8)).astype(np.float32)
        logits = (state @ weights.astype(np.float64).T)[0]
        deltas, _, _ = math.raise_joint(
            state, joint(weights, logits + np.array([2.0, 3.0]), strengths=[strength, 1.0])
        )
        raised = (state + deltas)[0] @ weights.astype(np.float64).T
        assert raised[1] == pytest.approx(logits[1] + 3.0, abs=1e-9)
        assert raised[0] >= logits[0] + 2.0 * strength - 1e-9

    def test_a_value_at_eight_gives_a_finite_shift(self) -> None:
        weights = np.random.default_rng(2).standard_normal((2, 8))
        deltas, _, _ = math.raise_joint(np.zeros((1, 8)), joint(weights, [math.target_logit(8.0)] * 2))
        assert np.isfinite(deltas).all()
        assert deltas.any()

    def test_a_state_of_nan_does_not_stop_the_others(self) -> None:
        weights = np.random.default_rng(3).standard_normal((2, 8))
        states = np.zeros((2, 8))
        states[0, 0] = np.nan
        deltas, _, _ = math.raise_joint(states, joint(weights, [1.0, 1.0]))
        assert close(deltas[1], shortest(weights.astype(np.float32).astype(np.float64), np.ones(2)))


class TestContradiction:
    def test_the_same_probe_twice_is_raised_to_the_higher_target(self) -> None:
        weight = np.random.default_rng(4).standard_normal(8)
        twice, _, report = math.raise_joint(np.zeros((1, 8)), joint([weight, weight], [1.0, 2.0]))
        assert close(twice[0], math.raise_one(np.zeros(8), weight.astype(np.float32), 0.0, 2.0))
        assert not report.limited.any()

    @given(seeds, st.floats(0.3, 3.0))
    @settings(max_examples=40, deadline=None)
    def test_opposed_probes_share_the_shortfall(self, seed: int, scale: float) -> None:
        random = np.random.default_rng(seed)
        weight, other = random.standard_normal((2, 12)).astype(np.float32)
        rows = joint([weight, -np.float32(scale) * weight, other], random.uniform(1, 4, 3))
        deltas, _, report = math.raise_joint(np.zeros((1, 12)), rows)
        first, second, third = rows.targets
        # Whatever the third asks, this logit of the first makes the two squared shortfalls least.
        meeting = (first - scale * second) / (1 + scale**2)
        wide = rows.weights.astype(np.float64)
        expected = meeting * wide[0] / (wide[0] @ wide[0])
        if wide[2] @ expected < third:
            expected, *_ = np.linalg.lstsq(wide[[0, 2]], np.array([meeting, third]))
        assert report.limited.all()
        assert close(deltas[0], expected)
        assert report.shortfall[0] == pytest.approx(
            [first - meeting, second + scale * meeting, 0.0], rel=1e-5, abs=1e-6
        )

    @given(seeds)
    @settings(max_examples=40, deadline=None)
    def test_more_probes_than_dimensions_fall_short_as_little_as_can_be(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        rows = joint(random.standard_normal((24, 6)), random.uniform(1, 4, 24))
        deltas, _, report = math.raise_joint(np.zeros((1, 6)), rows)
        assume(report.limited.all())
        short = np.maximum(0.0, rows.targets - rows.weights.astype(np.float64) @ deltas[0])
        pulls = rows.weights.T.astype(np.float64) * short
        assert np.linalg.norm(pulls.sum(axis=1)) <= 1e-5 * np.abs(pulls).sum()

    def test_a_contradiction_does_not_blow_up(self) -> None:
        weight = np.random.default_rng(5).standard_normal(16)
        rows = joint([weight, -weight], [3.0, 3.0])
        deltas, _, report = math.raise_joint(np.zeros((1, 16)), rows)
        assert np.linalg.norm(deltas) < 1e-5
        assert report.shortfall[0] == pytest.approx([3.0, 3.0], rel=1e-6)


class TestCap:
    @settings(max_examples=150, deadline=None)
    @given(raises(capped=True))
    def test_under_a_cap_the_squared_shortfall_is_least(
        self, case: tuple[JointRaise, Matrix, Matrix]
    ) -> None:
        """The conditions that a convex problem's solution alone meets: slack's gradient points along the shift."""
        rows, states, asked = case
        assert rows.cap is not None
        deltas, _, report = math.raise_joint(states, rows)
        weights = rows.weights.astype(np.float64)
        for delta, residual, limited in zip(deltas, asked, report.limited, strict=True):
            length = float(np.linalg.norm(delta))
            assert length <= rows.cap * (1 + 1e-6)
            if limited:
                pull = weights.T @ np.maximum(0.0, residual - weights @ delta)
                assert length == pytest.approx(rows.cap, rel=1e-6)
                assert float(pull @ delta) > 0
                assert close(pull, pull @ delta / length**2 * delta, to=1e-5)

    @few
    @given(raises(capped=True))
    def test_the_report_names_what_was_missed_by_how_much(
        self, case: tuple[JointRaise, Matrix, Matrix]
    ) -> None:
        rows, states, asked = case
        deltas, _, report = math.raise_joint(states, rows)
        short = np.maximum(0.0, asked - deltas @ rows.weights.astype(np.float64).T)
        least = 2e-4 * np.maximum(0.0, asked.max(axis=1, keepdims=True))
        assert np.allclose(
            np.where(report.shortfall > least, short, 0.0), np.where(short > least, short, 0.0)
        )
        assert np.allclose(report.shortfall[short > least], short[short > least], rtol=1e-5)

    def test_a_cap_that_is_not_reached_changes_nothing(self) -> None:
        weights = np.random.default_rng(6).standard_normal((3, 8))
        free, _, _ = math.raise_joint(np.zeros((1, 8)), joint(weights, [1.0, 2.0, 1.0]))
        capped, _, report = math.raise_joint(np.zeros((1, 8)), joint(weights, [1.0, 2.0, 1.0], cap=1e3))
        assert (free == capped).all()
        assert not report.limited.any()


class TestTune:
    @few
    @given(seeds, st.floats(0.01, 3), st.integers(0, 80), st.floats(0, 0.99))
    def test_the_closed_form_is_what_the_steps_give(
        self, seed: int, step: float, steps: int, share: float
    ) -> None:
        penalty = share / step
        random = np.random.default_rng(seed)
        states, direction = random.standard_normal((2, 8)), random.standard_normal(8)
        stepped = states.copy()
        for _ in range(steps):
            stepped = stepped + step * (direction - 2 * penalty * (stepped - states))
        factor = math.tune_factor(step, steps, penalty)
        assert np.allclose(factor * direction, stepped - states, rtol=1e-9, atol=1e-9)
        taken = math.tune_states(states, math.Phi(direction), step=step, steps=steps, penalty=penalty)
        assert np.allclose(taken, stepped, rtol=1e-12)

    def test_a_penalty_that_diverges_is_refused(self) -> None:
        with pytest.raises(ProgramError):
            math.tune_factor(2.0, 3, 0.5)

    def test_a_tiny_penalty_is_almost_none(self) -> None:
        assert math.tune_factor(2.0, 60, 1e-15) == pytest.approx(120.0, rel=1e-12)

    def test_the_direction_is_the_difference_of_the_weighted_means(self) -> None:
        positive, negative = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[4.0, 4.0]])
        found = math.anchor_direction(positive, negative, (3.0, 1.0), (5.0,))
        assert found.tolist() == [0.75 - 4.0, 0.5 - 4.0]

    def test_one_side_of_anchors_is_enough(self) -> None:
        rows = np.array([[1.0, 3.0]])
        assert math.anchor_direction(rows, np.zeros((0, 2))).tolist() == [1.0, 3.0]
        assert math.anchor_direction(np.zeros((0, 2)), rows).tolist() == [-1.0, -3.0]

    def test_no_anchors_are_refused(self) -> None:
        with pytest.raises(ProgramError):
            math.anchor_direction(np.zeros((0, 2)), np.zeros((0, 2)))

    @given(seeds, st.floats(-5, 5))
    @settings(max_examples=20, deadline=None)
    def test_hold_moves_phi_to_its_target_and_no_further(self, seed: int, target: float) -> None:
        random = np.random.default_rng(seed)
        states, direction = random.standard_normal((4, 8)), random.standard_normal(8)
        before = math.phi(states, direction)
        factors = math.hold_factor(before, target, float(direction @ direction))
        after = math.phi(states + factors[:, None] * direction, direction)
        assert np.allclose(after, np.maximum(before, target))


def _norm(kind: str, random: np.random.Generator, width: int) -> math.Norm | None:
    if kind == "rms":
        return math.RMSNorm(random.standard_normal(width), 1e-5)
    if kind == "layer":
        return math.LayerNorm(random.standard_normal(width), random.standard_normal(width), 1e-5)
    return None


def _objective(kind: str, norm: str, seed: int, width: int = 12) -> math.Objective:
    random = np.random.default_rng(seed)
    site = _norm(norm, random, width)
    if kind == "phi":
        return math.Phi(random.standard_normal(width), site)
    positive, negative = random.standard_normal((3, width)), random.standard_normal((2, width))
    return math.LogOdds(
        positive,
        negative,
        positive_weights=(1.0, 2.0, 0.5),
        norm=site,
        negative_bias=random.standard_normal(2),
        softcap=3.0 if kind == "capped log-odds" else 0.0,
    )


objectives = pytest.mark.parametrize("kind", ["phi", "log-odds", "capped log-odds"])
norms = pytest.mark.parametrize("norm", ["none", "rms", "layer"])


class TestGradient:
    @objectives
    @norms
    def test_the_gradient_is_the_slope_of_the_value(self, kind: str, norm: str) -> None:
        objective = _objective(kind, norm, seed=7)
        states = np.random.default_rng(8).standard_normal((3, 12))
        slope = np.zeros_like(states)
        for column in range(states.shape[1]):
            nudge = np.zeros(12)
            nudge[column] = 1e-5
            rise = objective.value(states + nudge) - objective.value(states - nudge)
            slope[:, column] = rise / 2e-5
        assert close(objective.gradient(states), slope, to=1e-7)

    @pytest.mark.parametrize("norm", ["rms", "layer"])
    def test_a_norm_is_the_one_of_pytorch(self, norm: str) -> None:
        torch = pytest.importorskip("torch")
        functional: Any = torch.nn.functional
        mine = _norm(norm, np.random.default_rng(9), 12)
        assert mine is not None
        states = np.random.default_rng(10).standard_normal((3, 12))
        weight = torch.from_numpy(mine.weight)
        if isinstance(mine, math.LayerNorm):
            theirs = functional.layer_norm(
                torch.from_numpy(states), (12,), weight, torch.from_numpy(mine.bias), mine.epsilon
            )
        else:
            theirs = functional.rms_norm(torch.from_numpy(states), (12,), weight, mine.epsilon)
        assert np.allclose(mine.apply(states), theirs.numpy(), rtol=1e-10)

    @pytest.mark.parametrize("norm", ["none", "rms", "layer"])
    def test_log_odds_are_those_of_the_softmax(self, norm: str) -> None:
        random = np.random.default_rng(11)
        rows, states = random.standard_normal((20, 12)), random.standard_normal((3, 12))
        site = _norm(norm, random, 12)
        objective = math.LogOdds(rows[:3], rows[3:8], norm=site)
        logits = (states if site is None else site.apply(states)) @ rows.T
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        expected = np.log(shares[:, :3].sum(axis=1)) - np.log(shares[:, 3:8].sum(axis=1))
        assert np.allclose(objective.value(states), expected)

    @objectives
    @norms
    def test_steps_raise_the_objective(self, kind: str, norm: str) -> None:
        objective = _objective(kind, norm, seed=12)
        states = np.random.default_rng(13).standard_normal((3, 12))
        tuned = math.tune_states(states, objective, step=0.05, steps=10)
        assert (objective.value(tuned) > objective.value(states)).all()

    @objectives
    @norms
    def test_the_penalty_keeps_the_state_nearer(self, kind: str, norm: str) -> None:
        objective = _objective(kind, norm, seed=14)
        states = np.random.default_rng(15).standard_normal((1, 12))
        free = math.tune_states(states, objective, step=0.05, steps=20)
        held = math.tune_states(states, objective, step=0.05, steps=20, penalty=4.0)
        assert np.linalg.norm(held - states) < np.linalg.norm(free - states)

    @objectives
    @norms
    def test_hold_stops_where_the_objective_is_reached(self, kind: str, norm: str) -> None:
        objective = _objective(kind, norm, seed=16)
        states = np.random.default_rng(17).standard_normal((4, 12))
        before = objective.value(states)
        reachable = objective.value(math.tune_states(states, objective, step=0.3, steps=200))
        hold = float(before.min() + reachable.min()) / 2
        tuned = math.tune_states(states, objective, step=0.3, steps=200, hold=hold)
        assert (tuned[before >= hold] == states[before >= hold]).all()
        assert np.allclose(objective.value(tuned)[before < hold], hold, rtol=1e-7, atol=1e-9)

    def test_hold_out_of_reach_takes_all_the_steps(self) -> None:
        objective = _objective("phi", "rms", seed=18)
        states = np.random.default_rng(19).standard_normal((2, 12))
        held = math.tune_states(states, objective, step=0.1, steps=5, hold=1e6)
        assert np.allclose(held, math.tune_states(states, objective, step=0.1, steps=5))


class TestSoftcap:
    @given(st.lists(st.floats(-60, 60), min_size=1, max_size=8), st.floats(10, 60))
    def test_what_was_undone_can_be_redone(self, logits: list[float], cap: float) -> None:
        capped = math.redo_softcap(logits, cap)
        assert np.allclose(math.redo_softcap(math.undo_softcap(capped, cap), cap), capped, rtol=1e-6)

    @given(st.lists(st.floats(-30, 30), min_size=1, max_size=8), st.floats(-20, 20), st.floats(0.1, 4))
    def test_a_bias_is_added_before_scale_and_cap(
        self, logits: list[float], bias: float, scale: float
    ) -> None:
        free = np.array(logits)
        capped = math.redo_softcap(scale * free, 40.0)
        expected = math.redo_softcap(scale * (free + bias), 40.0)
        assert np.allclose(math.add_under_softcap(capped, bias, 40.0, scale), expected, rtol=1e-4, atol=1e-4)

    def test_without_a_cap_a_bias_is_just_added(self) -> None:
        assert math.add_under_softcap([1.0], [2.0], scale=0.5).tolist() == [2.0]

    @pytest.mark.parametrize("change", [math.undo_softcap, math.redo_softcap])
    def test_no_cap_changes_nothing(self, change: Callable[..., Matrix]) -> None:
        assert change([1.0, -2.0], 0.0).tolist() == [1.0, -2.0]

    def test_a_logit_at_its_cap_stays_finite(self) -> None:
        assert np.isfinite(math.undo_softcap(np.array([30.0, -30.0], dtype=np.float32), 30.0)).all()
