"""Checks of a pack that rebuild nothing: what is right, what is wrong, and what only a new build could tell."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from trimtab.engine.identity import ModelIdentity
from trimtab.errors import TrimtabError
from trimtab.vectors.pack import Pack
from trimtab.vectors.pack_gguf import is_as_written
from trimtab.vectors.pack_reading import from_bytes
from trimtab.vectors.pack_writing import SPEC_VERSION

Outcome = Literal["right", "wrong", "unknown"]


@dataclass(frozen=True)
class Check:
    """One claim of a pack, and what became of it."""

    outcome: Outcome
    what: str
    detail: str


def verify(
    data: bytes, name: str, model: ModelIdentity | None = None, recipes: Collection[str] | None = None
) -> list[Check]:
    """All that can be checked of a pack's file, against a model and a recipe's hashes where they are given."""
    try:
        pack = from_bytes(data, name)
    except TrimtabError as error:
        return [Check("wrong", "file", error.what)]
    return [
        Check("right", "file", f"version {SPEC_VERSION}; every count, size and number is in range"),
        Check("right", "vectors", "finite, as wide as the model, unit vectors one long"),
        Check("right", "llama.cpp", "the tensors add what the pack describes"),
        _seal(data),
        *_model(pack, model),
        _recipe(pack, recipes),
        *_unknowable(pack),
    ]


def _seal(data: bytes) -> Check:
    match is_as_written(data):
        case True:
            return Check("right", "seal", "not a byte was changed since it was written")
        case False:
            return Check("wrong", "seal", "it was changed after it was written")
        case None:
            return Check("unknown", "seal", "it has none, so changes since it was written do not show")


def _model(pack: Pack, model: ModelIdentity | None) -> Iterator[Check]:
    own = pack.model
    if model is None:
        yield Check("unknown", "model", f"made for {own.name}, {own.fingerprint[:8]}; give it with --model")
        return
    if own.fingerprint != model.fingerprint:
        other = f"{model.name}, {model.fingerprint[:8]}"
        yield Check("wrong", "model", f"made for {own.name}, {own.fingerprint[:8]}; this is {other}")
        return
    yield Check(
        "right", "model", f"{own.layers} layers, {own.width} wide, and the vocabulary are this model's"
    )
    if not own.weights_hash or not model.weights_hash:
        yield Check("unknown", "weights", "no sample of the weights was kept")
    elif own.weights_hash == model.weights_hash:
        yield Check("right", "weights", "a sample of the weights is the same")
    else:
        built, this = own.quantisation or "unknown", model.quantisation or "unknown"
        yield Check(
            "unknown", "weights", f"built on others ({built}) than these ({this}): another quantisation?"
        )


def _recipe(pack: Pack, recipes: Collection[str] | None) -> Check:
    if not pack.recipe_hash:
        return Check("unknown", "recipe", "it names none")
    if recipes is None:
        return Check("unknown", "recipe", f"{pack.recipe_hash[:12]}…; give it with --recipe")
    if pack.recipe_hash in recipes:
        return Check("right", "recipe", "it was built from this very recipe")
    return Check("wrong", "recipe", "it was built from another recipe, or from another version of it")


def _unknowable(pack: Pack) -> Iterator[Check]:
    if pack.provenance.author or pack.provenance.licence:
        yield Check("unknown", "author", "author and licence are what the file says; nobody has signed it")
    if pack.method == "imported":
        yield Check("unknown", "effect", "whether the vectors do what their name says shows only in use")
        return
    measured = "accuracies" + (", calibration" if pack.calibration else "") + (", gate" if pack.gate else "")
    yield Check("unknown", "figures", f"only a build on the same model can repeat them: {measured}")
