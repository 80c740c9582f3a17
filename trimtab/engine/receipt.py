"""Keeping the account of what was done to a reply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from trimtab.engine.contract import LayerShift, Missed, PhiMeans
from trimtab.engine.machine import Readings
from trimtab.engine.plan import Plan


class LayerTally:
    """Sums of readings by layer, over all positions of one phase."""

    def __init__(self, layers: int) -> None:
        self._positions: npt.NDArray[np.int64] = np.zeros(layers, dtype=np.int64)
        self._moved: npt.NDArray[np.int64] = np.zeros(layers, dtype=np.int64)
        self._sum: npt.NDArray[np.float64] = np.zeros(layers)
        self._highest: npt.NDArray[np.float64] = np.zeros(layers)
        self._missed: dict[tuple[int, str, int], tuple[int, float]] = {}

    def add(self, readings: Readings, plan: Plan) -> None:
        self._positions += readings.positions
        self._moved += readings.moved
        self._sum += readings.norm_sum
        np.maximum(self._highest, readings.norm_max, out=self._highest)
        for (layer, row), (times, by) in readings.missed.items():
            key = (layer, plan.raises[layer].labels[row], row)
            before, most = self._missed.get(key, (0, 0.0))
            self._missed[key] = (before + times, max(most, by))

    def layers(self) -> tuple[LayerShift, ...]:
        return tuple(
            LayerShift(
                layer=int(layer),
                positions=int(self._positions[layer]),
                moved=int(self._moved[layer]),
                mean=float(self._sum[layer] / max(1, self._moved[layer])),
                maximum=float(self._highest[layer]),
            )
            for layer in np.flatnonzero(self._moved)
        )

    def missed(self) -> tuple[Missed, ...]:
        return tuple(
            Missed(layer=layer, label=label, row=row, times=times, by=by)
            for (layer, label, row), (times, by) in sorted(self._missed.items())
        )


@dataclass
class PhiTally:
    """Means of each anchor set's phi over a reply."""

    _sums: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, before: float | None, after: float) -> None:
        sums = self._sums.setdefault(name, [0.0, 0.0, 0.0, 0.0])
        sums[2] += after
        sums[3] += 1
        if before is not None:
            sums[0] += before
            sums[1] += 1

    def means(self) -> dict[str, PhiMeans]:
        return {
            name: PhiMeans(
                before=before / counted_before if counted_before else None,
                after=after / counted_after,
            )
            for name, (before, counted_before, after, counted_after) in self._sums.items()
        }


def merged(*tallies: LayerTally) -> tuple[Missed, ...]:
    """The missed targets of several phases together."""
    total: dict[tuple[int, str, int], Missed] = {}
    for missed in (entry for tally in tallies for entry in tally.missed()):
        key = (missed.layer, missed.label, missed.row)
        if key in total:
            total[key] = Missed(
                layer=missed.layer,
                label=missed.label,
                row=missed.row,
                times=total[key].times + missed.times,
                by=max(total[key].by, missed.by),
            )
        else:
            total[key] = missed
    return tuple(total[key] for key in sorted(total))


def steered_layers(readings: Readings) -> dict[int, float]:
    """By layer, how far the last position was moved."""
    return {int(layer): float(readings.norm_last[layer]) for layer in np.flatnonzero(readings.norm_last)}


def watched_values(readings: Readings, plan: Plan) -> dict[str, float]:
    """P of each watched probe at the last position."""
    logits: Sequence[float] = readings.watched.tolist()
    return {
        watch.name: float(1 / (1 + np.exp(-np.clip(logit, -500, 500))))
        for watch, logit in zip(plan.watches, logits, strict=True)
    }
