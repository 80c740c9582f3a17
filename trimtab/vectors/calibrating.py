"""Measures what each level of a pack does: how much the value gains in the model's words, and what its language loses.

No judge is needed, so it works for any model. The value's score is the share of contrast pairs whose positive side the
steered model finds the likelier continuation of their common beginning. The cost is read off ordinary text: by which
factor the probability of its words falls, in the geometric mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from trimtab.engine.client import EngineClient
from trimtab.engine.contract import FloatArray, ScoreRequest
from trimtab.engine.math import target_logit
from trimtab.engine.program import EMPTY, Program, Raise
from trimtab.vectors.pack import Calibration, CalibrationPoint, Interval, Pack, Setting
from trimtab.vectors.recipe import Pair, Recipe

LEVELS = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0)
SAFE, BEARABLE = 0.8, 0.5
"""Up to the last level that keeps this part of the words' probability, steering is safe, or at least bearable."""
PAIRS, TEXTS = 24, 16
_BEGUN = 3
"""Words of an ordinary text that are given, so that the rest can be foreseen."""
_SIGMAS = 1.96

Scored = tuple[str, str]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is scored at every level: both sides of pairs, then ordinary texts."""

    pairs: tuple[tuple[Scored, Scored], ...]
    texts: tuple[Scored, ...]

    def request(self, program: Program) -> ScoreRequest:
        sides = tuple(side for pair in self.pairs for side in pair)
        return ScoreRequest(pairs=(*sides, *self.texts), program=program)


async def calibrate(
    engine: EngineClient,
    pack: Pack,
    recipe: Recipe,
    on_level: Callable[[], None] = lambda: None,
    levels: Sequence[float] = LEVELS,
) -> Pack:
    """The pack with its curve, and with the strongest settings that the curve shows to be safe, and to be bearable."""
    asked = _asked(recipe)
    if not asked.pairs or not asked.texts:
        warning = (
            "It is not calibrated: the recipe lacks pairs with a common beginning, or unrelated questions."
        )
        return msgspec.structs.replace(pack, warnings=(*pack.warnings, warning))
    plain = await engine.score(asked.request(EMPTY))
    points = [_point(0.0, asked, plain, plain, 0.0)]
    on_level()
    for level in levels:
        found = await engine.score(asked.request(program_of(pack, level)))
        points.append(_point(level, asked, found, plain, _shift(pack, level)))
        on_level()
    if max(point.value.score for point in points) <= points[0].value.score:
        # A level is recommended for what it does, not for doing no harm.
        warning = "No level made the value's side of the pairs likelier: it may not steer this model."
        pack = msgspec.structs.replace(pack, warnings=(*pack.warnings, warning))
        safe = None
    else:
        safe = _setting(points, SAFE)
    return msgspec.structs.replace(
        pack,
        calibration=Calibration(quality="fluency", questions=len(asked.texts), points=tuple(points)),
        recommended=safe,
        maximum=_setting(points, BEARABLE),
    )


def program_of(pack: Pack, level: float) -> Program:
    """The pack alone, raised at its good layers, without its gate."""
    target = target_logit(level)
    known = pack.by_layer
    probes = {number: known[number].probe for number in pack.good}
    return Program(
        interventions=tuple(
            Raise(layer=number, probes=(probe.part(),), targets=(target,), label=pack.value)
            for number, probe in probes.items()
            if probe is not None
        )
    )


def _asked(recipe: Recipe) -> _Asked:
    pairs = [begun for pair in recipe.pairs if (begun := _begun(pair)) is not None]
    texts = [
        (" ".join(words[:_BEGUN]), " " + " ".join(words[_BEGUN:]))
        for text in recipe.unrelated.of("validation")
        if len(words := text.split()) > _BEGUN + 1
    ]
    return _Asked(tuple(_spread(pairs, PAIRS)), tuple(_spread(texts, TEXTS)))


def _spread(found: list[T], count: int) -> list[T]:
    """So many of them, from the whole list."""
    if len(found) <= count:
        return found
    return [found[at] for at in np.linspace(0, len(found) - 1, count).round().astype(int).tolist()]


def _begun(pair: Pair) -> tuple[Scored, Scored] | None:
    """The common first words of a pair, and how each side goes on."""
    left, right = pair.positive.split(), pair.negative.split()
    same = len(list(takewhile(lambda words: words[0] == words[1], zip(left, right, strict=False))))
    if not 0 < same < min(len(left), len(right)):
        return None
    context = " ".join(left[:same])
    return (context, " " + " ".join(left[same:])), (context, " " + " ".join(right[same:]))


def _point(
    level: float,
    asked: _Asked,
    found: Sequence[FloatArray],
    plain: Sequence[FloatArray],
    shift: float,
) -> CalibrationPoint:
    count = 2 * len(asked.pairs)
    # A side's length must not decide: each is scored by what steering, or the model, says of it a token.
    sums = [float(each.mean()) for each in found[:count]]
    won = sum(one > other for one, other in zip(sums[::2], sums[1::2], strict=True))
    losses = np.array(
        [float((now - before).mean()) for now, before in zip(found[count:], plain[count:], strict=True)]
    )
    return CalibrationPoint(
        level=level,
        strength=1.0,
        shift=shift,
        value=_wilson(won, len(asked.pairs)),
        quality=_kept(losses),
    )


def _wilson(won: int, count: int) -> Interval:
    share, square = won / count, _SIGMAS**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = _SIGMAS * math.sqrt(share * (1 - share) / count + square / (4 * count**2)) / (1 + square / count)
    return Interval(
        score=share, low=min(share, max(0.0, middle - half)), high=max(share, min(1.0, middle + half))
    )


def _kept(losses: npt.NDArray[np.float64]) -> Interval:
    mean = float(losses.mean())
    half = _SIGMAS * float(losses.std(ddof=1)) / math.sqrt(len(losses)) if len(losses) > 1 else 0.0
    return Interval(score=math.exp(mean), low=math.exp(mean - half), high=math.exp(mean + half))


def _shift(pack: Pack, level: float) -> float:
    """The mean over the good layers of the shift that the level asks of the negative sides."""
    known = pack.by_layer
    at = target_logit(level) - target_logit(pack.level or 1.0)
    found = [
        max(0.0, probe.shift + at / probe.norm)
        for number in pack.good
        if (probe := known[number].probe) is not None
    ]
    return float(np.mean(found)) if found else 0.0


def _setting(points: Sequence[CalibrationPoint], kept: float) -> Setting | None:
    """The last level before the curve's lower bound first falls below a part of the words' probability."""
    good = list(takewhile(lambda point: point.quality.low >= kept, points))
    return Setting(level=good[-1].level) if len(good) > 1 else None
