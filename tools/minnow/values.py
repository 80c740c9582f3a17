"""Where a model holds its values and whether they move it: probes on pairs, steering by mean differences."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer

from tools.minnow import generate
from tools.minnow.model import Minnow
from trimtab.minnow import questions
from trimtab.minnow.documents import prompt
from trimtab.minnow.judges import judge
from trimtab.minnow.lexicon import VALUES
from trimtab.minnow.questions import Question
from trimtab.minnow.splits import Split
from trimtab.minnow.stories import pairs
from trimtab.vectors import probes

Array = npt.NDArray[np.float32]
Site: TypeAlias = tuple[tuple[int, ...], float]
"""At which layers a value is steered, and by how many mean differences."""
Judged: TypeAlias = tuple[bool, bool]
"""Strict success, and fluent."""
_NOWHERE: Site = ((), 0.0)

PAIRS: dict[Split, int] = {"train": 200, "validation": 60, "test": 150}
COEFFICIENTS = (0.5, 0.75, 1.0, 1.5)
"""In units of a layer's own mean difference: the stream of a model has no scale of its own, and grows with depth."""
FLUENT = 0.95
"""Steering that breaks more sentences than this leaves whole counts as no steering."""
TUNED_FLUENT = 0.97


@dataclass(frozen=True, slots=True)
class Inside:
    """What one value looks like inside: held-out probe accuracies and mean differences, layer by layer."""

    value: str
    validation: tuple[float, ...]
    test: tuple[float, ...]
    differences: Array

    @property
    def best(self) -> tuple[int, ...]:
        """The better half of the layers, as validation has it; of equals the later."""
        order = sorted(range(len(self.validation)), key=lambda layer: (-self.validation[layer], -layer))
        return tuple(sorted(order[: len(order) // 2]))

    @property
    def sites(self) -> tuple[tuple[int, ...], ...]:
        """Where to steer: at the best layers but the last, whose states are the next word already, or at one."""
        below = tuple(layer for layer in self.best if layer < len(self.test) - 1)
        return tuple(dict.fromkeys((below, *((layer,) for layer in below))))

    @property
    def accuracy(self) -> float:
        """The worst of the best layers, on test."""
        return min(self.test[layer] for layer in self.best)


@dataclass(frozen=True, slots=True)
class Moved:
    """What steering along a value did on test: where and how far comes from validation."""

    value: str
    layers: tuple[int, ...]
    coefficient: float
    before: float
    after: float
    fluent: float

    @property
    def rise(self) -> float:
        return self.after - self.before if self.fluent >= FLUENT else min(0.0, self.after - self.before)


def look(model: Minnow, tokenizer: Tokenizer) -> list[Inside]:
    """Probes of all values, from pairs of train; the layers' order comes from validation, the figures from test."""
    texts: list[str] = []
    spans: dict[tuple[str, Split], slice] = {}
    for value in VALUES:
        for split, count in PAIRS.items():
            made = pairs(value, random.Random(f"probes {value} {split}"), count=count, split=split)
            spans[value, split] = slice(len(texts), len(texts) + 2 * count)
            texts += [text for pair in made for text in (pair.positive, pair.negative)]
    found = generate.states(model, [encoding.ids for encoding in tokenizer.encode_batch(texts)]).numpy()
    return [_inside(value, {split: found[spans[value, split]] for split in PAIRS}) for value in VALUES]


def steer(
    model: Minnow, tokenizer: Tokenizer, insides: list[Inside], *, tuned: int = 15, tested: int = 32
) -> list[Moved]:
    """Each value's rise of strict success when its mean difference is added at all positions of some layers."""
    trials = [
        _Trial(inside, layers, coefficient, question)
        for inside in insides
        for question in questions.value_questions(inside.value, "validation", tuned)
        for layers in inside.sites
        for coefficient in COEFFICIENTS
    ]
    tried = _told(model, tokenizer, trials)
    chosen = {inside.value: _best(inside, tried) for inside in insides}
    trials = [
        _Trial(inside, layers, coefficient, question)
        for inside in insides
        for layers, coefficient in (_NOWHERE, chosen[inside.value])
        for question in questions.value_questions(inside.value, "test", tested)
    ]
    told = _told(model, tokenizer, trials)
    return [
        Moved(
            inside.value,
            *chosen[inside.value],
            before=_share(told[inside.value, _NOWHERE], 0),
            after=_share(told[inside.value, chosen[inside.value]], 0),
            fluent=_share(told[inside.value, chosen[inside.value]], 1),
        )
        for inside in insides
    ]


@dataclass(frozen=True, slots=True)
class _Trial:
    inside: Inside
    layers: tuple[int, ...]
    coefficient: float
    question: Question


def _inside(value: str, found: dict[Split, Array]) -> Inside:
    layers = range(found["train"].shape[1])
    scores: dict[Split, list[float]] = {"validation": [], "test": []}
    for layer in layers:
        seen = found["train"][:, layer].astype(np.float64)
        probe = probes.fit(probes.gram_of(seen), _labels(found["train"]))
        for split, accuracies in scores.items():
            logits = probe.logits(found[split][:, layer] @ seen.T)
            accuracies.append(float(((logits > 0) == _labels(found[split])).mean()))
    differences = (found["train"][::2] - found["train"][1::2]).mean(axis=0)
    return Inside(value, tuple(scores["validation"]), tuple(scores["test"]), differences)


def _labels(states: Array) -> npt.NDArray[np.bool_]:
    """Positive and negative take turns."""
    out: npt.NDArray[np.bool_] = np.arange(len(states)) % 2 == 0
    return out


def _told(model: Minnow, tokenizer: Tokenizer, trials: list[_Trial]) -> dict[tuple[str, Site], list[Judged]]:
    """For each value and site what its questions came to."""
    shifts = {layer: torch.zeros(len(trials), model.shape.width) for layer in range(model.shape.layers)}
    for row, trial in enumerate(trials):
        for layer in trial.layers:
            shifts[layer][row] = trial.coefficient * torch.from_numpy(trial.inside.differences[layer])
    asked = [prompt(trial.question.turns) for trial in trials]
    out: dict[tuple[str, Site], list[Judged]] = {}
    for trial, text in zip(trials, generate.answers(model, tokenizer, asked, shifts=shifts), strict=True):
        value = trial.inside.value
        verdict = judge(trial.question.dilemma, text)
        found = out.setdefault((value, (trial.layers, trial.coefficient)), [])
        found.append((verdict.success(value), verdict.fluent))
    return out


def _best(inside: Inside, tried: dict[tuple[str, Site], list[Judged]]) -> Site:
    """The site with the most successes among the fluent ones, or the gentlest."""
    every = [(layers, coefficient) for layers in inside.sites for coefficient in COEFFICIENTS]
    fluent = [site for site in every if _share(tried[inside.value, site], 1) >= TUNED_FLUENT]
    gentlest = (inside.sites[-1], COEFFICIENTS[0])
    return max(fluent, key=lambda site: _share(tried[inside.value, site], 0), default=gentlest)


def _share(verdicts: list[Judged], at: int) -> float:
    return sum(verdict[at] for verdict in verdicts) / len(verdicts)
