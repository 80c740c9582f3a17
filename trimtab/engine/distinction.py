"""The value distinction phi, read off the logits, and the closed form that moves it there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trimtab.engine import math
from trimtab.engine.contract import FloatArray
from trimtab.engine.machine import Machine
from trimtab.engine.program import Anchors, Tune


class Distinction:
    """What one anchor set is in one model: how phi is read, and which row over the vocabulary raises it.

    phi is the mean logit of the positive tokens less that of the negative ones. Logits here are those
    before any soft cap and without the head's constant, so that phi is linear in the final state, as in
    the paper.
    """

    def __init__(self, machine: Machine, anchors: Anchors) -> None:
        rows = machine.unembed(anchors.positive + anchors.negative)
        count = len(anchors.positive)
        direction = math.anchor_direction(
            rows[:count], rows[count:], anchors.positive_weights, anchors.negative_weights
        )
        self._tokens = np.array(anchors.positive + anchors.negative, dtype=np.int64)
        self._weights = np.concatenate(
            [_shares(anchors.positive_weights), -_shares(anchors.negative_weights)]
        )
        self._softcap = machine.softcap()
        bias = machine.head_bias()
        self._offset = 0.0 if bias is None else self.across(bias)
        self.row = machine.head(direction.astype(np.float32))
        """What a step of length 1 along the anchors' direction adds to the logits."""

    def across(self, logits: FloatArray) -> float:
        """The weighted difference of any row over the vocabulary."""
        return float(self._weights @ logits[self._tokens].astype(np.float64))

    def phi(self, logits: FloatArray) -> float:
        values = logits[self._tokens].astype(np.float64)
        if self._softcap:
            values = math.undo_softcap(values, self._softcap)
        return float(self._weights @ values) - self._offset


class LogitTuner:
    """Carries out the linear tunes of one plan on logits, and reads the phi of all its anchor sets."""

    def __init__(self, tunes: Sequence[Tune], distinctions: Sequence[Distinction], softcap: float) -> None:
        self._names = [tune.anchors.name for tune in tunes]
        self._distinctions = list(distinctions)
        self._softcap = softcap
        self._hidden = any(not tune.linear for tune in tunes)
        self._linear = [
            (number, tune, math.tune_factor(tune.step, tune.steps, tune.penalty))
            for number, tune in enumerate(tunes)
            if tune.linear
        ]
        self._gains = [
            [distinction.across(self._distinctions[number].row) for distinction in self._distinctions]
            for number, _, _ in self._linear
        ]

    def apply(self, logits: FloatArray) -> tuple[dict[str, float | None], dict[str, float]]:
        """Tunes the logits in place; phi of every anchor set before, where that can be known, and after."""
        first = [distinction.phi(logits) for distinction in self._distinctions]
        now = list(first)
        factors = []
        for (number, tune, full), gains in zip(self._linear, self._gains, strict=True):
            factor = _factor(tune, full, now[number], gains[number])
            factors.append(factor)
            now = [phi + factor * gain for phi, gain in zip(now, gains, strict=True)]
        self._add(logits, factors)
        before = {name: None if self._hidden else phi for name, phi in zip(self._names, first, strict=True)}
        return before, dict(zip(self._names, now, strict=True))

    def _add(self, logits: FloatArray, factors: Sequence[float]) -> None:
        rows = [
            np.float32(factor) * self._distinctions[number].row
            for factor, (number, _, _) in zip(factors, self._linear, strict=True)
            if factor
        ]
        if not rows:
            return
        if self._softcap:
            logits[:] = math.add_under_softcap(logits, np.sum(rows, axis=0), self._softcap)
        else:
            for row in rows:
                logits += row


def _factor(tune: Tune, full: float, phi: float, gain: float) -> float:
    """How far along its direction a tune goes: all its steps, or what holding asks of them."""
    if tune.hold is None:
        return full
    return min(full, float(math.hold_factor(phi, tune.hold, gain)))


def _shares(weights: Sequence[float]) -> npt.NDArray[np.float64]:
    shares = np.array(weights, dtype=np.float64)
    return shares / shares.sum() if shares.size else shares
