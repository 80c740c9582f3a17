"""Sessions for the tests: steering is a single number, the level of the first dial."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.engine.worker.scripted import WIDTH
from trimtab.chat.desk import Desk, Dial
from trimtab.engine.program import EMPTY, Array, Program, Shift


def desk(level: float) -> Desk:
    return Desk(dials=(Dial(value="security", on=True, level=level),))


def shifting(width: int) -> Callable[[Desk], Program]:
    """Makes a shift along one random direction, as long as the dial says."""
    direction = Array(np.random.default_rng(5).normal(size=width))

    def make(desk: Desk) -> Program:
        level = _level(desk)
        return Program(interventions=(Shift(layer=1, vector=direction, scale=level),)) if level else EMPTY

    return make


def scripted_program(desk: Desk) -> Program:
    """So that the scripted engine's word `sum` says the level times its width."""
    level = _level(desk)
    return Program(interventions=(Shift(layer=1, vector=Array(np.full(WIDTH, level))),)) if level else EMPTY


def _level(desk: Desk) -> float:
    return desk.dials[0].level if desk.dials and not desk.silenced else 0.0
