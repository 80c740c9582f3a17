"""Logistic regression with scikit-learn's loss, solved by Newton's method among the texts instead of the dimensions.

Minimised is `½‖w‖² + C·Σ log(1 + exp(-s·(w·x + b)))` with s = ±1 and a bias that costs nothing. The best w is a sum of
the texts' states, `w = Xᵀa`, so all that is needed is their Gram matrix XXᵀ: 200 texts of a model 4,096 wide are a
problem of 200 unknowns, and the folds of a cross-validation are parts of the same matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trimtab.engine.math import probability

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

C = 1.0
"""Scikit-learn's default, on raw activations: with another one the value slider would mean something else."""
_TOLERANCE = 1e-9
_ROUNDS = 100


@dataclass(frozen=True, slots=True)
class Fit:
    """A probe as weights of the texts it was fitted to: `w = Xᵀa`."""

    alpha: Float64Array
    bias: float

    def weight(self, states: npt.NDArray[np.floating]) -> Float64Array:
        """The weight vector; `states` are those of the fit, one a row."""
        out: Float64Array = states.T.astype(np.float64) @ self.alpha
        return out

    def logits(self, gram: Float64Array) -> Float64Array:
        """For texts whose products with the fit's texts are the rows of `gram`."""
        out: Float64Array = gram @ self.alpha + self.bias
        return out


def gram_of(states: npt.NDArray[np.floating]) -> Float64Array:
    """All products of the texts' states, which are the rows."""
    exact = states.astype(np.float64)
    out: Float64Array = exact @ exact.T
    return out


def fit(gram: Float64Array, positive: BoolArray, c: float = C) -> Fit:
    """The best probe for texts with this Gram matrix; `positive` tells which of them show the value."""
    labels = positive.astype(np.float64)
    alpha, bias = np.zeros(len(labels)), 0.0
    loss = _loss(gram, alpha, bias, labels, c)
    for _ in range(_ROUNDS):
        reached = gram @ alpha
        known = probability(reached + bias)
        pull = c * (labels - known)
        if max(float(np.abs(pull - alpha).max()), abs(float(pull.sum()))) < _TOLERANCE * c:
            break
        next_alpha, next_bias = _newton(gram, reached + bias, known, pull, c)
        part = 1.0
        while part > 1e-10:
            tried = alpha + part * (next_alpha - alpha), bias + part * (next_bias - bias)
            tried_loss = _loss(gram, *tried, labels, c)
            if tried_loss <= loss:
                break
            part /= 2
        if part <= 1e-10 or tried_loss == loss:
            break  # as near as the numbers can tell
        (alpha, bias), loss = tried, tried_loss
    return Fit(alpha, bias)


def held_out(
    gram: Float64Array, positive: BoolArray, groups: npt.NDArray[np.intp], folds: int
) -> Float64Array:
    """For each text the logit that a probe gives it which never saw its group.

    The two sides of a pair are one group: a probe that knew the one would know the scene of the other.
    """
    out = np.zeros(len(positive))
    for fold in range(folds):
        out_of_it = groups % folds == fold
        within = ~out_of_it
        found = fit(gram[np.ix_(within, within)], positive[within])
        out[out_of_it] = found.logits(gram[np.ix_(out_of_it, within)])
    return out


def _loss(gram: Float64Array, alpha: Float64Array, bias: float, labels: Float64Array, c: float) -> float:
    reached = gram @ alpha
    logits = reached + bias
    return float(0.5 * alpha @ reached + c * (np.logaddexp(0.0, logits) - labels * logits).sum())


def _newton(
    gram: Float64Array, logits: Float64Array, known: Float64Array, pull: Float64Array, c: float
) -> tuple[Float64Array, float]:
    """Where the loss's parabola has its bottom.

    With S = C·p(1-p) that is `(K + S⁻¹)a = z - b`, `Σa = 0`; written so that nothing is divided by an S near nought.
    """
    curve = c * known * (1.0 - known)
    root = np.sqrt(curve)
    inner = root[:, None] * gram * root
    inner[np.diag_indices_from(inner)] += 1.0
    right = np.stack((curve * logits + pull, curve), axis=1)
    solved = np.linalg.solve(inner, root[:, None] * (gram @ right))
    ahead, along = (right - root[:, None] * solved).T
    total = float(along.sum())
    bias = float(ahead.sum()) / total if total > 1e-300 else 0.0
    return ahead - bias * along, bias
