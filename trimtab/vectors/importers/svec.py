"""Reads CAST's .svec files: JSON with a vector for each layer, added one block before the one it was learned from."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from trimtab.vectors.importers.foreign import FloatArray, Foreign
from trimtab.vectors.importers.request import ImportRequest
from trimtab.vectors.pack import Site
from trimtab.vectors.pack_errors import PackError

_AGAIN = "Get the file again."
_KNOWN = {"model_type", "directions", "explained_variances"}
_NEXT_OUTPUT = Site(kind="output", offset=1)
_NEXT_INPUT = Site(kind="input", offset=1)
_THRESHOLDS = (
    "CAST keeps the conditions under which it steers in the user's program, not in the file: set a gate here."
)


def read_svec(data: bytes, request: ImportRequest) -> Foreign:
    """CAST learns from the output of block L and adds to its input, which is the output of block L - 1."""
    name = request.shown
    told = _json(data, name)
    unknown = sorted(told.keys() - _KNOWN)
    directions, architecture = told.get("directions"), told.get("model_type", "")
    if unknown or not isinstance(directions, dict) or not isinstance(architecture, str):
        raise PackError(
            f"{name} is JSON, but not what CAST writes into a .svec file.", "Choose another file."
        )
    vectors = {_layer(key, name): _vector(values, key, name) for key, values in directions.items()}
    if len(vectors) < len(directions):
        raise PackError(f"{name} holds a layer twice.", _AGAIN)
    warnings = [_THRESHOLDS]
    if vectors.pop(0, None) is not None:
        warnings.append(
            "Its vector for the input of block 0 is left out: nothing can be added before the first block."
        )
    if not vectors:
        raise PackError(f"{name} holds no vector that can be used.", _AGAIN)
    return Foreign(
        "cast",
        {number - 1: vectors[number] for number in sorted(vectors)},
        derived_at=_NEXT_OUTPUT,
        applied_at=_NEXT_INPUT,
        architecture=architecture,
        warnings=tuple(warnings),
    )


def _json(data: bytes, name: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise PackError(f"{name} holds a layer or a field twice.", _AGAIN)
        return found

    def no_number(said: str) -> Any:
        raise PackError(f"{name} holds {said}, which is no number.", "Make the file anew.")

    try:
        told = json.loads(data, object_pairs_hook=once, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise PackError(f"{name} is damaged or no JSON.", _AGAIN) from error
    if not isinstance(told, dict):
        raise PackError(
            f"{name} is JSON, but not what CAST writes into a .svec file.", "Choose another file."
        )
    return told


def _layer(key: str, name: str) -> int:
    if not (key.isascii() and key.isdigit() and len(key) <= 4 and str(int(key)) == key):
        raise PackError(f"{name} has a layer called {key[:40]!r}.", _AGAIN)
    return int(key)


def _vector(values: object, key: str, name: str) -> FloatArray:
    numbers = values if isinstance(values, list) else []
    if not numbers or not all(type(value) in (float, int) for value in numbers):
        raise PackError(f"{name} holds no vector for layer {key}.", _AGAIN)
    try:
        with np.errstate(over="ignore"):
            vector = np.array(numbers, dtype=np.float64).astype(np.float32)
    except OverflowError:
        vector = np.full(1, np.inf, dtype=np.float32)
    if not np.isfinite(vector).all():
        raise PackError(f"{name} holds a number for layer {key} that is too large.", _AGAIN)
    return vector
