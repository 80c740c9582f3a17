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
    """Reads phi of one anchor set: the mean logit of its positive tokens less that of its negative ones.

    Logits here are those before any soft cap and without the head's constant, so that phi is a linear
    function of the final state, as in the paper.
    """

    def __init__(self, machine: Machine, anchors: Anchors) -> None:
        self._tokens = np.array(anchors.positive + anchors.negative, dtype=np.int64)
        self._weights = np.concatenate(
            [_shares(anchors.positive_weights), -_shares(anchors.negative_weights)]
        )
        self._softcap = machine.softcap()
        bias = machine.head_bias()
        self._offset = 0.0 if bias is None else self.across(bias)

    def across(self, logits: FloatArray) -> float:
        """The weighted difference of any row over the vocabulary."""
        return float(self._weights @ logits[self._tokens].astype(np.float64))

    def phi(self, logits: FloatArray) -> float:
        values = logits[self._tokens].astype(np.float64)
        if self._softcap:
            values = math.undo_softcap(values, self._softcap)
        return float(self._weights @ values) - self._offset


class LinearTune:
    """A `Tune` whose whole effect is a multiple of one row over the vocabulary."""

    def __init__(self, machine: Machine, tune: Tune) -> None:
        anchors = tune.anchors
        rows = machine.unembed(anchors.positive + anchors.negative)
        direction = math.anchor_direction(
            rows[: len(anchors.positive)],
            rows[len(anchors.positive) :],
            anchors.positive_weights,
            anchors.negative_weights,
        )
        self.distinction = Distinction(machine, anchors)
        self._row = machine.head(direction.astype(np.float32))
        self._gain = self.distinction.across(self._row)
        self._full = math.tune_factor(tune.step, tune.steps, tune.penalty)
        self._hold = tune.hold
        self._softcap = machine.softcap()

    def apply(self, logits: FloatArray) -> tuple[float, float]:
        """Tunes the logits in place; phi before and after."""
        before = self.distinction.phi(logits)
        factor = self._factor(before)
        if factor:
            if self._softcap:
                logits[:] = math.add_under_softcap(logits, factor * self._row, self._softcap)
            else:
                logits += np.float32(factor) * self._row
        return before, before + factor * self._gain

    def _factor(self, phi: float) -> float:
        if self._hold is None:
            return self._full
        if self._gain <= 0:
            return 0.0
        return min(self._full, max(0.0, (self._hold - phi) / self._gain))


def _shares(weights: Sequence[float]) -> npt.NDArray[np.float64]:
    shares = np.array(weights, dtype=np.float64)
    return shares / shares.sum() if shares.size else shares
