"""Vectors from elsewhere as they were found: by the number they bear there, and with what was told about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from trimtab.engine.identity import ModelIdentity, same_architecture
from trimtab.engine.text import clean_line
from trimtab.vectors.importers.request import Format, ImportRequest
from trimtab.vectors.pack import Site
from trimtab.vectors.pack_errors import PackError

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Foreign:
    """One file's vectors, for layers counted from 0 by where they are added: the output of that block."""

    format: Format
    vectors: Mapping[int, FloatArray]
    derived_at: Site
    applied_at: Site
    architecture: str = ""
    """What the file calls the model's architecture, if it does."""
    offsets: Mapping[int, FloatArray] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def check_model(name: str, found: Foreign, request: ImportRequest) -> tuple[str, ...]:
    """Warnings; raises where the vectors cannot be this model's."""
    model = request.model
    for vectors in (found.vectors, found.offsets):
        for number, vector in vectors.items():
            check_width(name, vector.size, model)
            if number >= model.layers:
                raise PackError(
                    f"{name} holds a vector for layer {number}; {model.name} has the layers 0 to {model.layers - 1}.",
                    "It was made for another model: give that one with --model.",
                )
    if found.architecture and not same_architecture(found.architecture, model.architecture):
        told = (
            f"{name} was made for a model of the kind {clean_line(found.architecture)[:60]!r}; {model.name} is of "
            f"the kind {model.architecture}"
        )
        if not request.anyway:
            raise PackError(f"{told}.", "Give the right model, or pass --anyway if you know that it fits.")
        return (f"{told}: what it does here is anybody's guess.",)
    return ()


def check_width(name: str, width: int, model: ModelIdentity) -> None:
    if width != model.width:
        raise PackError(
            f"The vectors of {name} are {width} wide; {model.name} is {model.width} wide.",
            "They were made for another model: give that one with --model.",
        )
