"""The vectors of a pack: what is known at each layer, and the gate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec.structs import force_setattr

from trimtab.engine import program
from trimtab.engine.program import Array
from trimtab.vectors.pack_parts import (
    AtMost,
    Between,
    Cosine,
    LayerNumber,
    Line,
    Number,
    Part,
    Share,
    Size,
    require_unit,
)

FloatArray: TypeAlias = npt.NDArray[np.float32]
Form: TypeAlias = Literal["plain", "chat"]
SiteKind: TypeAlias = Literal["output", "input", "delta"]

TOKEN_LENGTH = 80
"""Tokens may be long rows of blanks; what is shown of one is cut here."""


class Site(Part, frozen=True, kw_only=True):
    """A place in the model, told from a pack's layer N: the output or the input of block N + offset, or its change."""

    title: ClassVar[str] = "A site"

    kind: SiteKind = "output"
    offset: Annotated[int, Between(-1, 1)] = 0

    def __str__(self) -> str:
        block = "N" + (f"{self.offset:+d}".replace("-", "−") if self.offset else "")
        words = {"output": "the output of", "input": "the input of", "delta": "what is added by"}
        return f"{words[self.kind]} block {block}"


OUTPUT = Site()


class Direction(Part, frozen=True, kw_only=True):
    """A unit vector, and how long the vector was that it came from."""

    title: ClassVar[str] = "A direction"

    unit: Array
    length: Size

    def __post_init__(self) -> None:
        super().__post_init__()
        require_unit(f"{self.title}'s vector", self.unit)


class Component(Direction, frozen=True, kw_only=True):
    """The first principal component of the pairs' differences."""

    title: ClassVar[str] = "A principal component"

    sign: Annotated[int, Between(-1, 1)] = 1
    """What to multiply the vector with so that it points to the value; 0 where the data could not tell."""


class ProbeFit(Part, frozen=True, kw_only=True):
    """What logistic regression found at one layer: `P(e) = sigmoid(norm · unit · e + bias)`."""

    title: ClassVar[str] = "A probe"

    unit: Array
    norm: Annotated[float, Between(1e-30)]
    bias: Number
    accuracy: Share | None = None
    """On pairs that it was not trained on."""
    shift: Annotated[float, Between(-1e30)] = 0.0
    """The mean length of the closed-form shift at the pack's reference level: what llama.cpp adds at scale 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_unit(f"{self.title}'s direction", self.unit)

    def part(self) -> program.Probe:
        """The probe as programs hold it."""
        weight = self.unit.values.astype(np.float64) * self.norm
        return program.Probe(weight=Array(weight), bias=self.bias)


class Layer(Part, frozen=True, kw_only=True):
    """What is known at the output of one block."""

    title: ClassVar[str] = "A layer"

    number: LayerNumber
    probe: ProbeFit | None = None
    mean: Direction | None = None
    """The mean difference of the pairs."""
    component: Component | None = None
    added: Array | None = None
    """An imported vector, as a strength of 1 adds it."""
    offset: Array | None = None
    """An imported vector that is added once and in full, whatever the strength."""
    activation_norm: Size | None = None
    """The mean length of the states there."""

    def arrays(self) -> Iterator[tuple[str, Array]]:
        """Every vector with its name."""
        for name, holder in (("probe", self.probe), ("mean", self.mean), ("component", self.component)):
            if holder is not None:
                yield name, holder.unit
        for name, array in (("added", self.added), ("offset", self.offset)):
            if array is not None:
                yield name, array


class PackGate(Part, frozen=True, kw_only=True):
    """The probe that tells whether a question touches the value."""

    title: ClassVar[str] = "A gate"

    weight: Array
    bias: Number
    layer: LayerNumber
    threshold: Share
    form: Form = "plain"
    accuracy: Share | None = None
    """On the validation questions."""

    def part(self, threshold: float | None = None) -> program.Gate:
        """The gate as programs hold it, with its own threshold or another."""
        probe = program.Probe(weight=self.weight, bias=self.bias)
        level = self.threshold if threshold is None else threshold
        return program.Gate(probe=probe, layer=self.layer, threshold=level, form=self.form)


class Similarity(Part, frozen=True, kw_only=True):
    """The cosine between this value's direction and another's at a layer."""

    title: ClassVar[str] = "A similarity"

    value: Line
    layer: LayerNumber
    cosine: Cosine


class TopTokens(Part, frozen=True, kw_only=True):
    """What the direction at a layer says: the tokens whose logits it raises most."""

    title: ClassVar[str] = "A layer's top tokens"

    layer: LayerNumber
    tokens: Annotated[tuple[str, ...], AtMost(100)]

    def __post_init__(self) -> None:
        force_setattr(self, "tokens", tuple(str(each)[:TOKEN_LENGTH] for each in self.tokens))
        super().__post_init__()
