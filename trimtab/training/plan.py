"""Which stages a method consists of: what each learns from, where it starts, and what it is after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trimtab.training.options import Settled, Tuning

Aim = Literal["chosen", "rejected", "contrast", "dpo", "fit"]
Part = Literal["one", "two"]
BASE = "base"
"""The model as it was given, where a stage could be named."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast; `warm` is the share of the steps in which the rate rises."""

    rate: float
    batch: int
    epochs: float = 0.0
    steps: int = 0
    """Instead of epochs."""
    falls: bool = True
    """Along a cosine to nothing; else the rate is constant."""
    warm: float = 0.1

    def total(self, examples: int) -> int:
        return self.steps or max(1, round(self.epochs * examples / self.batch))


@dataclass(frozen=True, slots=True)
class Stage:
    """One training of one copy of the model."""

    name: str
    part: Part
    aim: Aim
    tune: Tuning
    schedule: Schedule
    start: str = BASE
    teachers: tuple[str, str] = (BASE, BASE)
    """For `fit`: which stages' models show p+ and p-."""


def stages(options: Settled) -> tuple[Stage, ...]:
    """The stages in order; the last one makes what the run is for."""
    first = Schedule(options.rate, options.batch, options.epochs)

    def one(name: str, aim: Aim, start: str = BASE) -> Stage:
        return Stage(name, "one", aim, options.tune, first, start)

    def two(good: str, bad: str) -> Stage:
        steady = Schedule(options.fit_rate, options.fit_batch, steps=options.fit_steps, falls=False, warm=0.0)
        return Stage("fit", "two", "fit", "lora", steady, teachers=(good, bad))

    match options.method:
        case "sft":
            return (one("preferred", "chosen"),)
        case "hir":
            return (one("contrast", "contrast"),)
        case "dpo" if options.reference == "base":
            return (one("dpo", "dpo"),)
        case "dpo":
            return (one("preferred", "chosen"), one("dpo", "dpo", "preferred"))
        case "lorra" | "lorra-pref":
            return (two(BASE, BASE),)
        case "rahf-scit":
            return (one("contrast", "contrast"), two("contrast", "contrast"))
        case "rahf-dual":
            return (
                one("preferred", "chosen"),
                one("dispreferred", "rejected"),
                two("preferred", "dispreferred"),
            )
