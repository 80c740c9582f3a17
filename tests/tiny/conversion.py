"""From a transformers state dict to llama.cpp's tensors of the same model."""

from __future__ import annotations

import gguf
import numpy as np
import numpy.typing as npt

from tests.tiny.families import Family, Shape
from tests.tiny.weights import Weights


def to_gguf(family: Family, shape: Shape, weights: Weights) -> Weights:
    return {
        gguf_name(name, family, shape): _convert(name, values, family, shape)
        for name, values in weights.items()
    }


def gguf_name(name: str, family: Family, shape: Shape) -> str:
    names = gguf.get_tensor_name_map(family.arch, shape.layers)
    found = names.get_name(name, try_suffixes=(".weight", ".bias"))
    if found is None:
        raise ValueError(f"GGUF has no name for {name}.")
    return found


def to_gguf_rows(
    name: str, rows: npt.NDArray[np.float32], family: Family, shape: Shape
) -> npt.NDArray[np.float32]:
    """The rows of a linear layer, in the order in which GGUF keeps them.

    The rotation of Llama pairs row i of a head with row i + half in transformers; in GGUF the two of a
    pair lie side by side.
    """
    for part, heads in ((".q_proj.", shape.heads), (".k_proj.", shape.kv_heads)):
        if family.permuted and part in name:
            halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
            return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows.shape)
    return rows


def _convert(
    name: str, values: npt.NDArray[np.float32], family: Family, shape: Shape
) -> npt.NDArray[np.float32]:
    if family.gemma and name.endswith("norm.weight"):
        return values + np.float32(1)
    if family.layout == "gpt2" and values.ndim == 2 and ".h." in name:
        # GPT-2's linear layers keep their weights transposed.
        return np.ascontiguousarray(values.T)
    return to_gguf_rows(name, values, family, shape)
