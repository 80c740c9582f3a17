"""A pack: all that was found about one value in one model, with what it takes to steer and to judge it."""

from __future__ import annotations

import itertools
from typing import Annotated, ClassVar, Literal, TypeAlias

import numpy as np

from trimtab.engine.program import Array
from trimtab.vectors.pack_errors import PackError
from trimtab.vectors.pack_facts import (
    AnchorWords,
    BaseModel,
    Calibration,
    CalibrationPoint,
    Interval,
    Provenance,
    Quality,
    Setting,
)
from trimtab.vectors.pack_layers import (
    OUTPUT,
    Component,
    Direction,
    FloatArray,
    Form,
    Layer,
    PackGate,
    ProbeFit,
    Similarity,
    Site,
    SiteKind,
    TopTokens,
)
from trimtab.vectors.pack_parts import AtMost, Between, Hash, Id, LayerNumber, Line, Part, Sentence

__all__ = [
    "OUTPUT", "AnchorWords", "BaseModel", "Calibration", "CalibrationPoint", "Component", "Direction", "Form",
    "Interval", "Layer", "Method", "Pack", "PackGate", "Positions", "ProbeFit", "Provenance", "Quality", "Setting",
    "Similarity", "Site", "SiteKind", "TopTokens",
]  # fmt: skip

Method: TypeAlias = Literal["probe", "imported"]
"""Found here by probes, with all that goes with them, or brought as plain vectors from elsewhere."""
Positions: TypeAlias = Literal["last", "mean"]


class Pack(Part, frozen=True, kw_only=True):
    """One value in one model. Layers count from 0, and name the output of that block."""

    title: ClassVar[str] = "A pack"

    value: Id
    name: Line
    meaning: Sentence = ""
    method: Method
    model: BaseModel
    recipe_hash: Hash = ""
    derived_at: Site = OUTPUT
    applied_at: Site = OUTPUT
    form: Form = "plain"
    positions: Positions = "last"
    layers: Annotated[tuple[Layer, ...], AtMost(512)]
    good: Annotated[tuple[LayerNumber, ...], AtMost(512)]
    """The layers to steer at."""
    level: Annotated[float, Between(-100, 100)] | None = None
    """The level of the value slider whose mean shifts `ProbeFit.shift` holds."""
    gate: PackGate | None = None
    anchors: AnchorWords = AnchorWords()
    similarities: Annotated[tuple[Similarity, ...], AtMost(16384)] = ()
    top_tokens: Annotated[tuple[TopTokens, ...], AtMost(512)] = ()
    calibration: Calibration | None = None
    recommended: Setting | None = None
    maximum: Setting | None = None
    warnings: Annotated[tuple[Sentence, ...], AtMost(50)] = ()
    provenance: Provenance = Provenance()

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_layers()
        self._check_vectors()
        self._check_settings()

    @property
    def by_layer(self) -> dict[int, Layer]:
        return {layer.number: layer for layer in self.layers}

    def shifts(self) -> dict[int, FloatArray]:
        """By good layer, what a scale of 1 adds: the mean closed-form shift, or the imported vector."""
        known = self.by_layer
        return {number: _shift(known[number], self.model.width) for number in self.good}

    def directions(self) -> dict[int, FloatArray]:
        """The tensors `direction.N` of the file, which is what llama.cpp can use: block 0 is out of its reach.

        A pack with nothing for it gets one vector of zeros, because llama.cpp refuses a file without any.
        """
        reached = {number: shift for number, shift in self.shifts().items() if number >= 1}
        return reached or {1: np.zeros(self.model.width, dtype=np.float32)}

    def _check_layers(self) -> None:
        numbers = [layer.number for layer in self.layers]
        if not numbers:
            raise PackError("A pack holds no layer.")
        for what, listed in (("layers", numbers), ("good layers", self.good)):
            if any(after <= before for before, after in itertools.pairwise(listed)):
                raise PackError(f"A pack's {what} are not in order, or one occurs twice.")
        named = [
            *numbers,
            *(each.layer for each in self.similarities),
            *(each.layer for each in self.top_tokens),
        ]
        if self.gate is not None:
            named.append(self.gate.layer)
        if max(named) >= self.model.layers:
            raise PackError(
                f"A pack names layer {max(named)} of a model that has {self.model.layers} layers.",
                "It is damaged, or names the wrong model.",
            )
        strange = set(self.good) - set(numbers)
        if strange:
            raise PackError(f"A pack calls layer {min(strange)} good and holds nothing for it.")

    def _check_vectors(self) -> None:
        for layer in self.layers:
            ours, brought = layer.probe is not None, layer.added is not None or layer.offset is not None
            if (ours, brought) != ((True, False) if self.method == "probe" else (False, True)):
                raise PackError(
                    f"Layer {layer.number} does not hold what a pack of {self.method} vectors does."
                )
            for name, array in layer.arrays():
                self._check_width(f"layer {layer.number}'s {name}", array)
        if self.gate is not None:
            self._check_width("the gate", self.gate.weight)

    def _check_width(self, what: str, array: Array) -> None:
        if array.width != self.model.width:
            raise PackError(
                f"The vector of {what} is {array.width} wide; the model is {self.model.width} wide.",
                "It is damaged, or names the wrong model.",
            )

    def _check_settings(self) -> None:
        best, most = self.recommended, self.maximum
        if best is not None and most is not None:
            over = abs(best.strength) > abs(most.strength)
            if over or (best.level and most.level and abs(best.level) > abs(most.level)):
                raise PackError("A pack recommends more than its maximum.")
        for shift in self.shifts().values():
            if not np.isfinite(shift).all():
                raise PackError("A pack's shift is too large to be a number.")


def _shift(layer: Layer, width: int) -> FloatArray:
    if layer.probe is not None:
        with np.errstate(over="ignore"):
            return (layer.probe.unit.values.astype(np.float64) * layer.probe.shift).astype(np.float32)
    shift = np.zeros(width, dtype=np.float32)
    for array in (layer.added, layer.offset):
        if array is not None:
            with np.errstate(over="ignore"):
                shift = shift + array.values
    return shift
