"""What the states of contrast pairs tell at one layer: probe, accuracy, mean difference, principal component."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trimtab.engine.contract import ModelInfo
from trimtab.engine.math import target_logit
from trimtab.engine.program import Array
from trimtab.vectors import directions, probes
from trimtab.vectors.pack import Component, Direction, Layer, ProbeFit

Float64Array = npt.NDArray[np.float64]

FOLDS = 5
LEVEL = 1.0
"""The level whose mean shift llama.cpp adds at scale 1: P₀ = 0.9, in the middle of the paper's."""
LAST = 5
DEPTH = 32
"""The paper leaves out the last five layers of models 32 deep; others in proportion, one at least."""
CURVE = (5, 10, 20, 40, 60, 80, 100, 150, 200, 300, 500)


@dataclass(frozen=True, slots=True)
class LayerFit:
    """One layer's probe and directions. Accuracy is that of probes on pairs that they had not seen."""

    accuracy: float
    unit: Float64Array
    norm: float
    bias: float
    shift: float
    mean: directions.Found
    component: directions.Found
    size: float
    gram: Float64Array | None = None
    """Kept where a learning curve is wanted: it grows with the square of the pairs."""

    def layer(self, number: int) -> Layer:
        """As a pack holds it."""
        return Layer(
            number=number,
            probe=ProbeFit(
                unit=Array(self.unit),
                norm=self.norm,
                bias=self.bias,
                accuracy=self.accuracy,
                shift=self.shift,
            ),
            mean=_direction(self.mean),
            component=_component(self.component),
            activation_norm=self.size,
        )

    def curve(self) -> tuple[tuple[int, float], ...]:
        """How accuracy grows with the number of pairs, on average over draws."""
        gram = self.gram
        assert gram is not None
        count = len(gram) // 2
        sizes = [size for size in CURVE if size < count] + [count]
        return tuple((size, _drawn(gram, size)) for size in sizes)


def fit_layer(states: npt.NDArray[np.float32], *, centred: bool = False, keep_gram: bool = False) -> LayerFit:
    """From states whose rows are the pairs' sides in turn: positive, negative."""
    positive, negative = states[::2], states[1::2]
    gram = probes.gram_of(states)
    labels = np.arange(len(states)) % 2 == 0
    accuracy = _accuracy(gram)
    fit = probes.fit(gram, labels)
    weight = fit.weight(states)
    norm = float(np.linalg.norm(weight))
    unit = weight / norm if norm else weight
    short = np.maximum(0.0, target_logit(LEVEL) - (negative @ weight + fit.bias))
    return LayerFit(
        accuracy=accuracy,
        unit=unit,
        norm=norm,
        bias=fit.bias,
        shift=float(short.mean()) / norm if norm else 0.0,
        mean=directions.mean_difference(positive, negative),
        component=directions.component(positive, negative, centred=centred),
        size=float(np.linalg.norm(states.astype(np.float64), axis=1).mean()),
        gram=gram if keep_gram else None,
    )


def good_layers(fits: Mapping[int, LayerFit], info: ModelInfo, accuracy: float) -> tuple[int, ...]:
    """The layers to steer at: those that separate the value, but for the last few, where words are chosen already."""
    last = max(1, round(info.layers * LAST / DEPTH))
    return tuple(
        layer
        for layer, fit in fits.items()
        if fit.accuracy > accuracy and fit.norm > 0 and layer < info.layers - last
    )


def best(fits: Mapping[int, LayerFit]) -> LayerFit:
    return max(fits.values(), key=lambda fit: fit.accuracy)


def _accuracy(gram: Float64Array) -> float:
    """By cross-validation over pairs: every pair is once held out."""
    labels = np.arange(len(gram)) % 2 == 0
    pairs = np.arange(len(gram)) // 2
    folds = min(FOLDS, len(gram) // 2)
    if folds < 2:
        return 0.5
    # Neighbours are often of one kind: dealt out in turn, each fold gets its share of all.
    logits = probes.held_out(gram, labels, pairs, folds)
    return float(((logits > 0) == labels).mean())


def _drawn(gram: Float64Array, size: int, draws: int = 4) -> float:
    """The accuracy that so many pairs reach on the pairs left out, or by cross-validation where none are."""
    count = len(gram) // 2
    found = []
    for draw in range(draws if size < count else 1):
        chosen = random.Random(f"curve {size} {draw}").sample(range(count), size)
        inside = np.array([2 * pair + side for pair in chosen for side in (0, 1)])
        outside = np.setdiff1d(np.arange(len(gram)), inside)
        if len(outside) < 20:
            found.append(_accuracy(gram[np.ix_(inside, inside)]))
            continue
        fit = probes.fit(gram[np.ix_(inside, inside)], inside % 2 == 0)
        logits = fit.logits(gram[np.ix_(outside, inside)])
        found.append(float(((logits > 0) == (outside % 2 == 0)).mean()))
    return float(np.mean(found))


def _direction(found: directions.Found) -> Direction | None:
    return Direction(unit=Array(found.unit), length=found.length) if found.length else None


def _component(found: directions.Found) -> Component | None:
    return Component(unit=Array(found.unit), length=found.length, sign=found.sign) if found.length else None
