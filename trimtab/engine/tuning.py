"""Anchor-word tuning (AWOT): its closed form, and gradient steps where there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from trimtab.errors import ProgramError

Float64Array = npt.NDArray[np.float64]

_LAST_STEP_TRIES = 40
_NO_SHRINKING = 1e-17
"""A penalty that shrinks less than this over all steps is lost in a double's rounding."""


class Objective(Protocol):
    """Something to increase, for states of shape (tokens, width)."""

    def value(self, states: Float64Array) -> Float64Array:
        """Shape (tokens,)."""
        ...

    def gradient(self, states: Float64Array) -> Float64Array:
        """Shape (tokens, width)."""
        ...


def anchor_direction(
    positive: npt.ArrayLike,
    negative: npt.ArrayLike,
    positive_weights: Sequence[float] = (),
    negative_weights: Sequence[float] = (),
) -> Float64Array:
    """The weighted mean of the positive unembedding rows less that of the negative; a side may be empty."""
    sides = [_mean(positive, positive_weights), _mean(negative, negative_weights)]
    if sides[0] is None and sides[1] is None:
        raise ProgramError("Anchors need at least one word.")
    above = sides[0] if sides[0] is not None else 0.0
    below = sides[1] if sides[1] is not None else 0.0
    return np.asarray(above - below)


def tune_factor(step: float, steps: int, penalty: float = 0.0) -> float:
    """c such that `steps` gradient steps on a linear objective move a state by c times its gradient."""
    if step * penalty >= 1:
        raise ProgramError(
            f"step x penalty is {step * penalty:g}: at 1 and above the steps diverge.",
            "Lower one of the two.",
        )
    shrink = 2 * step * penalty
    if steps * shrink < _NO_SHRINKING:
        return steps * step
    if shrink < 1:
        return -step * math.expm1(steps * math.log1p(-shrink)) / shrink
    return step * (1 - (1 - shrink) ** steps) / shrink


def phi(states: npt.ArrayLike, direction: npt.ArrayLike) -> Float64Array:
    """The value distinction of normed states (AWOT, Eq. 3)."""
    return np.asarray(np.asarray(states, dtype=np.float64) @ np.asarray(direction, dtype=np.float64))


def hold_factor(phi: npt.ArrayLike, target: float, gain: float) -> Float64Array:
    """The least c >= 0 with `phi + c * gain >= target`; `gain` is the direction's squared length."""
    missing = np.maximum(0.0, target - np.asarray(phi, dtype=np.float64))
    return np.asarray(missing / gain if gain > 0 else np.zeros_like(missing))


def tune_states(
    states: npt.ArrayLike,
    objective: Objective,
    *,
    step: float,
    steps: int,
    penalty: float = 0.0,
    hold: float | None = None,
) -> Float64Array:
    """Takes the steps `h <- h + step * gradient(objective - penalty * |h - h0|^2)` (AWOT, Eqs. 4 and 5).

    With `hold`, each state stops where its objective reaches that value.
    """
    if step * penalty >= 1:
        raise ProgramError(
            f"step x penalty is {step * penalty:g}: at 1 and above the steps diverge.",
            "Lower one of the two.",
        )
    first = np.asarray(states, dtype=np.float64)
    now = first.copy()
    if hold is None:
        for _ in range(steps):
            now += step * (objective.gradient(now) - 2 * penalty * (now - first))
        return now
    left = np.flatnonzero(objective.value(now) < hold)
    for _ in range(steps):
        if not left.size:
            break
        before = now[left]
        after = before + step * (objective.gradient(before) - 2 * penalty * (before - first[left]))
        reached = objective.value(after) >= hold
        after[reached] = _shorten(before[reached], after[reached], objective, hold)
        now[left] = after
        left = left[~reached]
    return now


@dataclass(frozen=True, eq=False)
class RMSNorm:
    """`weight * h / sqrt(mean(h^2) + epsilon)`; where a model multiplies by 1 + w, that is the weight."""

    weight: Float64Array
    epsilon: float

    def apply(self, states: Float64Array) -> Float64Array:
        return states / self._size(states) * self.weight

    def pull_back(self, states: Float64Array, gradient: Float64Array) -> Float64Array:
        size = self._size(states)
        unit, scaled = states / size, gradient * self.weight
        return np.asarray((scaled - unit * (unit * scaled).mean(axis=-1, keepdims=True)) / size)

    def _size(self, states: Float64Array) -> Float64Array:
        return np.asarray(np.sqrt((states**2).mean(axis=-1, keepdims=True) + self.epsilon))


@dataclass(frozen=True, eq=False)
class LayerNorm:
    """`weight * (h - mean(h)) / sqrt(var(h) + epsilon) + bias`."""

    weight: Float64Array
    bias: Float64Array
    epsilon: float

    def apply(self, states: Float64Array) -> Float64Array:
        unit, _ = self._unit(states)
        return unit * self.weight + self.bias

    def pull_back(self, states: Float64Array, gradient: Float64Array) -> Float64Array:
        unit, size = self._unit(states)
        scaled = gradient * self.weight
        level = scaled.mean(axis=-1, keepdims=True)
        return np.asarray((scaled - level - unit * (unit * scaled).mean(axis=-1, keepdims=True)) / size)

    def _unit(self, states: Float64Array) -> tuple[Float64Array, Float64Array]:
        centred = states - states.mean(axis=-1, keepdims=True)
        size = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self.epsilon)
        return centred / size, size


Norm = RMSNorm | LayerNorm


@dataclass(frozen=True, eq=False)
class Phi:
    """The value distinction of a final state, before its norm if one is given."""

    direction: Float64Array
    norm: Norm | None = None

    def value(self, states: Float64Array) -> Float64Array:
        return phi(states if self.norm is None else self.norm.apply(states), self.direction)

    def gradient(self, states: Float64Array) -> Float64Array:
        flat = np.broadcast_to(self.direction, states.shape)
        return flat if self.norm is None else self.norm.pull_back(states, flat)


@dataclass(frozen=True, eq=False)
class LogOdds:
    """The log of the positive anchors' probability mass less that of the negative.

    Rows are of the unembedding matrix, multiplied by the logit scale where the model has one.
    """

    positive: Float64Array
    negative: Float64Array
    positive_weights: Sequence[float] = ()
    negative_weights: Sequence[float] = ()
    norm: Norm | None = None
    positive_bias: Float64Array | None = None
    negative_bias: Float64Array | None = None
    softcap: float = 0.0

    def value(self, states: Float64Array) -> Float64Array:
        normed = states if self.norm is None else self.norm.apply(states)
        above, below = (_log_mass(scores) for scores, _ in self._scores(normed))
        return np.asarray(above - below)

    def gradient(self, states: Float64Array) -> Float64Array:
        normed = states if self.norm is None else self.norm.apply(states)
        (above, above_slope), (below, below_slope) = self._scores(normed)
        gradient = (_shares(above) * above_slope) @ self.positive - (
            _shares(below) * below_slope
        ) @ self.negative
        return gradient if self.norm is None else self.norm.pull_back(states, gradient)

    def _scores(self, normed: Float64Array) -> tuple[tuple[Float64Array, Float64Array], ...]:
        """By side, the weighted log scores and their slope under the soft cap."""
        return (
            self._side(normed, self.positive, self.positive_weights, self.positive_bias),
            self._side(normed, self.negative, self.negative_weights, self.negative_bias),
        )

    def _side(
        self, normed: Float64Array, rows: Float64Array, weights: Sequence[float], bias: Float64Array | None
    ) -> tuple[Float64Array, Float64Array]:
        logits = normed @ rows.T
        if bias is not None:
            logits = logits + bias
        slope = np.ones_like(logits)
        if self.softcap:
            ratio = np.tanh(logits / self.softcap)
            logits, slope = self.softcap * ratio, 1 - ratio**2
        if len(weights):
            logits = logits + np.log(np.asarray(weights, dtype=np.float64))
        return logits, slope


def _shorten(before: Float64Array, after: Float64Array, objective: Objective, hold: float) -> Float64Array:
    """The point on each last step where the objective is what it should hold, by false position."""
    if not len(before):
        return after
    step = after - before
    low, high = np.zeros(len(before)), np.ones(len(before))
    low_gap, high_gap = objective.value(before) - hold, objective.value(after) - hold
    close = 1e-12 * (1 + abs(hold))
    last = np.zeros(len(before))
    for _ in range(_LAST_STEP_TRIES):
        at = np.clip(low - low_gap * (high - low) / (high_gap - low_gap), low, high)
        gap = objective.value(before + at[:, None] * step) - hold
        over = gap >= -close
        # An end that stays twice gives way by half: the Illinois rule.
        low_gap = np.where(over, np.where(last > 0, 0.5 * low_gap, low_gap), gap)
        high_gap = np.where(over, np.maximum(gap, close), np.where(last < 0, 0.5 * high_gap, high_gap))
        low, high, last = np.where(over, low, at), np.where(over, at, high), np.where(over, 1.0, -1.0)
        if (over & (gap <= close)).all():
            break
    return np.asarray(before + high[:, None] * step)


def _mean(rows: npt.ArrayLike, weights: Sequence[float]) -> Float64Array | None:
    matrix = np.asarray(rows, dtype=np.float64)
    if not matrix.size:
        return None
    shares = np.asarray(weights if len(weights) else np.ones(len(matrix)), dtype=np.float64)
    return np.asarray(shares @ matrix / shares.sum())


def _log_mass(scores: Float64Array) -> Float64Array:
    highest = scores.max(axis=-1, keepdims=True)
    return np.asarray(np.log(np.exp(scores - highest).sum(axis=-1)) + highest[..., 0])


def _shares(scores: Float64Array) -> Float64Array:
    mass = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(mass / mass.sum(axis=-1, keepdims=True))
