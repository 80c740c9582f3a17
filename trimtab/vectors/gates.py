"""Finds a gate: the layer that tells best whether a question touches the value, and the threshold to open at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trimtab.engine.math import probability
from trimtab.vectors import probes

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

FOLDS = 5
CANDIDATES = 8
"""Layers that are tried: evenly spread over the middle of the model, where topics are told apart."""


@dataclass(frozen=True, slots=True)
class GateFit:
    """A gate with what it did to questions that it was not fitted to."""

    layer: int
    weight: Float64Array
    bias: float
    threshold: float
    opened: float
    """The share of related questions that it lets through."""
    closed: float
    """The share of unrelated ones that it stops."""

    @property
    def accuracy(self) -> float:
        """Of related and unrelated questions alike."""
        return (self.opened + self.closed) / 2


def candidates(layers: Sequence[int], depth: int) -> tuple[int, ...]:
    """Which of the steerable layers are tried, in a model with so many."""
    middle = [layer for layer in layers if 0.2 * depth <= layer < 0.9 * depth] or list(layers)
    at = np.linspace(0, len(middle) - 1, min(CANDIDATES, len(middle))).round().astype(int)
    return tuple(middle[each] for each in dict.fromkeys(at.tolist()))


def fit_gate(states: Mapping[int, npt.NDArray[np.float32]], related: BoolArray) -> GateFit:
    """The gate of the layer that tells best; of equals the one in the middle."""
    groups = _spread(related)
    tried = []
    for layer, found in states.items():
        gram = probes.gram_of(found)
        logits = probes.held_out(gram, related, groups, FOLDS)
        opened, closed = _judged(logits, related, groups)
        tried.append((opened + closed, layer, _cut(logits, related), opened, closed, gram))
    best = max(score for score, *_ in tried)
    equal = [each for each in tried if each[0] > best - 1e-9]
    _, layer, cut, opened, closed, gram = equal[len(equal) // 2]
    fit = probes.fit(gram, related)
    threshold = float(probability(cut))
    return GateFit(layer, fit.weight(states[layer]), fit.bias, threshold, opened, closed)


def _spread(related: BoolArray) -> npt.NDArray[np.intp]:
    """Folds that have their share of both kinds; neighbours, which are alike in scene, stay together."""
    groups = np.zeros(len(related), dtype=np.intp)
    for kind in (True, False):
        members = np.flatnonzero(related == kind)
        groups[members] = np.arange(len(members)) * FOLDS // max(1, len(members))
    return groups


def _judged(logits: Float64Array, related: BoolArray, groups: npt.NDArray[np.intp]) -> tuple[float, float]:
    """The shares let through and stopped, each fold judged by the threshold of the others."""
    passed = np.zeros(len(logits), dtype=np.bool_)
    for fold in range(FOLDS):
        within = groups == fold
        if within.any():
            passed[within] = logits[within] >= _cut(logits[~within], related[~within])
    return float(passed[related].mean()), float(1 - passed[~related].mean())


def _cut(logits: Float64Array, related: BoolArray) -> float:
    """The logit that parts both kinds best; where several do, the middle of the widest gap."""
    order = np.sort(np.unique(logits))
    edges = np.concatenate(([order[0] - 1.0], (order[1:] + order[:-1]) / 2, [order[-1] + 1.0]))
    opened = (logits[related][:, None] >= edges).mean(axis=0)
    closed = (logits[~related][:, None] < edges).mean(axis=0)
    score = opened + closed
    gaps = np.concatenate(([0.0], np.diff(order), [0.0]))
    best = max(np.flatnonzero(score >= score.max() - 1e-12).tolist(), key=lambda at: gaps[at])
    return float(edges[best])
