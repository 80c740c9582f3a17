"""The scale of a slider, and how its track is drawn in a row of cells."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

ZoneKind = Literal["costly", "broken"]
Part = Literal["track", "fill", "costly", "broken", "knob"]

_EMPTY = {"safe": "─", "costly": "╌", "broken": "░"}
_FILLED = {"safe": "━", "costly": "╍", "broken": "▒"}
_DIGITS = 6
"""Steps of a tenth must add up to what people read."""


@dataclass(frozen=True)
class Zone:
    """A stretch of the scale, its ends included."""

    low: float
    high: float
    kind: ZoneKind


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What a slider reaches, and in which steps."""

    low: float
    high: float
    start: float = 0.0
    """Where a reset leads."""
    origin: float | None = None
    """From where the track is filled; None fills from the low end."""
    step: float = 0.5
    fine: float = 0.1
    coarse: float = 1.0
    lowest: float | None = None
    """How far typed numbers may go, where that is beyond the ends."""
    highest: float | None = None

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError("A slider's scale has no length.")

    def clamped(self, value: float) -> float:
        """Within the ends, unless the value was typed beyond them already: then no further."""
        return _round(min(max(value, self.low), self.high))

    def typed(self, value: float) -> float:
        """Within what may be typed."""
        low = self.low if self.lowest is None else min(self.low, self.lowest)
        high = self.high if self.highest is None else max(self.high, self.highest)
        if value != value:  # noqa: PLR0124  (not a number)
            return self.start
        return _round(min(max(value, low), high))

    def cell(self, value: float, width: int) -> int:
        """The cell in which a value stands."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(share * (width - 1))

    def at(self, cell: float, width: int) -> float:
        """The value of a cell, on the grid of fine steps."""
        if width < 2:
            return self.start
        share = min(max(cell / (width - 1), 0.0), 1.0)
        value = self.low + share * (self.high - self.low)
        return self.clamped(round(value / self.fine) * self.fine)


def draw(
    scale: Scale, value: float, width: int, zones: Sequence[Zone] = (), *, active: bool = True
) -> list[tuple[str, Part]]:
    """Stretches of text, each with what it is part of; together `width` cells."""
    cells = _cells(scale, value, width, zones, active)
    return [
        ("".join(character for character, _ in group), part)
        for part, group in itertools.groupby(cells, lambda cell: cell[1])
    ]


def zone_at(value: float, zones: Sequence[Zone]) -> ZoneKind | None:
    """The worst zone that a value lies in."""
    kinds = {zone.kind for zone in zones if zone.low <= value <= zone.high}
    return "broken" if "broken" in kinds else "costly" if kinds else None


def _cells(
    scale: Scale, value: float, width: int, zones: Sequence[Zone], active: bool
) -> Iterator[tuple[str, Part]]:
    knob = scale.cell(value, width)
    origin = scale.cell(scale.low if scale.origin is None else scale.origin, width)
    first, last = sorted((knob, origin))
    for cell in range(width):
        if cell == knob:
            yield _knob(scale, value, active), "knob"
            continue
        zone = zone_at(scale.low + cell * (scale.high - scale.low) / max(1, width - 1), zones)
        if first <= cell <= last and active:
            yield _FILLED[zone or "safe"], zone or "fill"
        elif cell == origin and scale.origin is not None:
            yield "┼", "track"
        else:
            yield _EMPTY[zone or "safe"], zone or "track"


def _knob(scale: Scale, value: float, active: bool) -> str:
    if value > scale.high:
        return "»"
    if value < scale.low:
        return "«"
    return "●" if active else "○"


def _round(value: float) -> float:
    return round(value, _DIGITS) + 0.0  # no minus zero
