"""A line of the desk: what to steer with, by which method, and where its sliders stand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from trimtab.engine.program import Adapter, Classifier
from trimtab.plugins.anchor_words import Sides
from trimtab.plugins.errors import LineError
from trimtab.vectors.pack import Pack
from trimtab.vectors.recipe import Recipe

GateLevel: TypeAlias = float | Literal["own"] | None
"""Where the gate slider stands: at a threshold, at the pack's own, or at no gate at all."""


@dataclass(frozen=True)
class Text:
    """Words of the user's own for the preface."""

    text: str

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise LineError(
                "The text to put before the conversation is empty.", "Say who the model shall be."
            )


Source: TypeAlias = Pack | Recipe | Sides | Adapter | Text
"""What a line steers with."""
SOURCES: dict[type[Source], str] = {
    Pack: "a pack",
    Recipe: "a recipe",
    Sides: "anchor words",
    Adapter: "an adapter",
    Text: "a text",
}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the desk. What its level counts in, its method says."""

    source: Source
    method: str = ""
    """By its name; empty for the source's usual one."""
    level: float = 1.0
    """The value slider. Below zero is towards the opposite."""
    strength: float = 1.0
    """How much of it is done: 0 is nothing, 1 all."""
    gate: GateLevel = "own"
    classifier: Classifier | None = None
    """What the gate asks instead of the pack's own probe; every method that has a gate can have this one."""
    on: bool = True
    label: str = ""
    """What the user calls it; empty for what the source is called."""
    options: Mapping[str, object] = field(default_factory=dict)
    """The method's further settings, as its `options` describes them."""

    def __post_init__(self) -> None:
        for name in ("level", "strength"):
            if not math.isfinite(getattr(self, name)):
                raise LineError(f"The {name} of {self.title} is no number.")
        if self.strength < 0:
            raise LineError(
                f"The strength of {self.title} is {self.strength:g}: it must not be below zero.",
                "To steer the other way, turn its level below zero.",
            )
        if isinstance(self.gate, str) and self.gate != "own":
            raise LineError(f"The gate of {self.title} is {self.gate!r}.", "Give a number, own, or none.")
        if not isinstance(self.gate, str) and self.gate is not None and not 0 <= self.gate <= 1:
            raise LineError(
                f"The gate of {self.title} stands at {self.gate:g}: it lies between 0 and 1.",
                "At 0 it is always open.",
            )

    @property
    def title(self) -> str:
        return self.label or title_of(self.source)

    @property
    def acts(self) -> bool:
        """Whether it does anything."""
        return self.on and self.level != 0 and self.strength != 0

    @property
    def amount(self) -> float:
        """The level with the strength in it, for methods to which the two are one."""
        return self.level * self.strength


def title_of(source: Source) -> str:
    """What a source is called where the user gave it no name."""
    match source:
        case Pack():
            return source.value
        case Recipe():
            return source.id
        case Sides():
            return "anchors"
        case Adapter():
            return source.label or source.files[0].name.removesuffix(".gguf")
    return "preface"


def describe(kind: type[Source]) -> str:
    """A kind of source, in words."""
    return SOURCES[kind]
