"""From a transformers state dict to llama.cpp's tensors of the same model."""

from __future__ import annotations

import gguf
import numpy as np
import numpy.typing as npt

from tests.tiny.families import Family, Shape
from tests.tiny.weights import Weights


def to_gguf(family: Family, shape: Shape, weights: Weights) -> Weights:
    names = gguf.get_tensor_name_map(family.arch, shape.layers)
    converted: Weights = {}
    for name, values in weights.items():
        known = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if known is None:
            raise ValueError(f"GGUF has no name for {name}.")
        converted[known] = np.ascontiguousarray(_convert(name, values, family, shape))
    return converted


def permute(rows: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """Llama's rotation in transformers pairs row i of a head with row i + half; in GGUF the two lie side by side."""
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)


def _convert(
    name: str, values: npt.NDArray[np.float32], family: Family, shape: Shape
) -> npt.NDArray[np.float32]:
    if family.permuted and ".q_proj." in name:
        return permute(values, shape.heads)
    if family.permuted and ".k_proj." in name:
        return permute(values, shape.kv_heads)
    if family.gemma and name.endswith("norm.weight"):
        return values + np.float32(1)
    if family.layout == "gpt2" and values.ndim == 2 and ".h." in name:
        # GPT-2's linear layers keep their weights transposed.
        return values.T
    return values
