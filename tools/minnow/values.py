"""Where a model holds its values and whether they move it: probes on pairs, steering by mean differences."""

from __future__ import annotations

import random
from dataclasses import dataclass

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
    def steered(self) -> tuple[int, ...]:
        """The best layers without the last, whose states are the next word already."""
        return tuple(layer for layer in self.best if layer < len(self.test) - 1)

    @property
    def accuracy(self) -> float:
        """The worst of the best layers, on test."""
        return min(self.test[layer] for layer in self.best)


@dataclass(frozen=True, slots=True)
class Moved:
    """What steering along a value did on test: its coefficient comes from validation."""

    value: str
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
    """Each value's rise of strict success when its mean difference is added at all positions of the layers steered."""
    asked = {inside.value: questions.value_questions(inside.value, "validation", tuned) for inside in insides}
    jobs = [
        (inside, coefficient, question)
        for inside in insides
        for coefficient in COEFFICIENTS
        for question in asked[inside.value]
    ]
    tried: dict[tuple[str, float], list[tuple[bool, bool]]] = {}
    for (inside, coefficient, _), verdict in zip(jobs, _verdicts(model, tokenizer, jobs), strict=True):
        tried.setdefault((inside.value, coefficient), []).append(verdict)
    chosen = {inside.value: _best(inside.value, tried) for inside in insides}
    jobs = [
        (inside, coefficient, question)
        for inside in insides
        for coefficient in (0.0, chosen[inside.value])
        for question in questions.value_questions(inside.value, "test", tested)
    ]
    told: dict[tuple[str, bool], list[tuple[bool, bool]]] = {}
    for (inside, coefficient, _), verdict in zip(jobs, _verdicts(model, tokenizer, jobs), strict=True):
        told.setdefault((inside.value, coefficient > 0), []).append(verdict)
    return [
        Moved(
            inside.value,
            chosen[inside.value],
            _share(told[inside.value, False], 0),
            _share(told[inside.value, True], 0),
            _share(told[inside.value, True], 1),
        )
        for inside in insides
    ]


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


def _verdicts(
    model: Minnow, tokenizer: Tokenizer, jobs: list[tuple[Inside, float, Question]]
) -> list[tuple[bool, bool]]:
    """For each question under its shift: strict success, and fluent."""
    width = model.shape.width
    shifts = {layer: torch.zeros(len(jobs), width) for layer in range(model.shape.layers)}
    for row, (inside, coefficient, _) in enumerate(jobs):
        for layer in inside.steered:
            shifts[layer][row] = coefficient * torch.from_numpy(inside.differences[layer])
    texts = generate.answers(
        model, tokenizer, [prompt(question.turns) for _, _, question in jobs], shifts=shifts
    )
    verdicts = [judge(question.dilemma, text) for (_, _, question), text in zip(jobs, texts, strict=True)]
    return [
        (verdict.success(inside.value), verdict.fluent)
        for (inside, _, _), verdict in zip(jobs, verdicts, strict=True)
    ]


def _best(value: str, tried: dict[tuple[str, float], list[tuple[bool, bool]]]) -> float:
    """The coefficient with the most successes among the fluent ones, or the least one."""
    fluent = [each for each in COEFFICIENTS if _share(tried[value, each], 1) >= TUNED_FLUENT]
    return max(fluent, key=lambda each: _share(tried[value, each], 0), default=COEFFICIENTS[0])


def _share(verdicts: list[tuple[bool, bool]], at: int) -> float:
    return sum(verdict[at] for verdict in verdicts) / len(verdicts)
