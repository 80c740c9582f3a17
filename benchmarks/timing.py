"""Timing things against each other in one run: blocks in turn, medians over all tokens."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

Clock = Callable[[], float]
Block = Callable[[], Iterator[None]]
"""One run of a side: each step of the iterator is one unit of work, a token say."""


@dataclass(frozen=True)
class Side:
    """What was measured of one side."""

    seconds: float
    """The median time of a unit."""
    units: int


def interleave(
    sides: Mapping[str, Block], *, rounds: int, skip: int = 2, clock: Clock = time.perf_counter
) -> dict[str, Side]:
    """Runs every side once a round, in an order that turns with the rounds, so that drift falls on all alike.

    The first `skip` units of every block are not counted.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for number in range(rounds):
        turned = names[number % len(names) :] + names[: number % len(names)]
        for name in turned:
            times[name] += _block(sides[name], clock)[skip:]
    return {name: Side(statistics.median(found), len(found)) for name, found in times.items()}


def _block(block: Block, clock: Clock) -> list[float]:
    found: list[float] = []
    last = clock()
    for _ in block():
        now = clock()
        found.append(now - last)
        last = now
    return found


def ratio(base: Side, other: Side) -> float:
    """How fast `other` is, as a share of `base`: units per second divided."""
    return base.seconds / other.seconds
