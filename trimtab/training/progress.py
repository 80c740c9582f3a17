"""How far a run is, for whoever shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """After a step; `measure` is a number of the stage's own, named by `measured`."""

    stage: str
    number: int
    stages: int
    step: int
    steps: int
    loss: float
    measured: str
    measure: float
    validation: float | None
    """Where it has just been measured."""
    seconds_left: float
    """Of this stage."""


Report = Callable[[Standing], None]
