"""Random weights for a tiny model, as a transformers state dict."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tests.tiny.families import Family, Shape
from tests.tiny.tokenizer import CONTROL, VOCABULARY

FloatArray = npt.NDArray[np.float32]
Weights = dict[str, FloatArray]

SPREAD = 2.5
"""The standard deviation of the logits, about."""
LOOK = 1.6
"""How sharply attention looks. Flat, greedy text soon runs into a loop; too sharp, rounding grows from
layer to layer until two libraries disagree."""
HEARD, THOUGHT = 3.0, 2.0
"""How loud attention and the MLP are against what passes them by."""
FIRM = 2048.0
"""How far from zero the inputs of a GELU are spread: llama.cpp reads it from a half-precision table
between -10 and 10 and is exact beyond."""


def random_weights(family: Family, shape: Shape, seed: int) -> Weights:
    """Of a size at which logits are spread, attention looks about, and greedy text does not stall."""
    layouts: dict[str, Callable[[_Draw], None]] = {"decoder": _decoder, "phi": _phi, "gpt2": _gpt2}
    draw = _Draw(family, shape, seed, {})
    layouts[family.layout](draw)
    return draw.out


@dataclass(frozen=True)
class _Draw:
    """Draws each tensor from its own name, so that none depends on the order."""

    family: Family
    shape: Shape
    seed: int
    out: Weights

    def normal(self, name: str, *shape: int, std: float, mean: float = 0.0) -> FloatArray:
        generator = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        return (mean + std * generator.standard_normal(shape)).astype(np.float32)

    def linear(
        self,
        name: str,
        rows: int,
        columns: int,
        gain: float,
        *,
        bias: float = 0.0,
        transposed: bool = False,
        centred: bool = False,
    ) -> None:
        weight = self.normal(name, rows, columns, std=gain / math.sqrt(columns))
        if centred:
            weight -= weight.mean(axis=1, keepdims=True)
        self.out[f"{name}.weight"] = np.ascontiguousarray(weight.T) if transposed else weight
        if bias:
            self.out[f"{name}.bias"] = self.normal(f"{name}.bias", rows, std=bias)

    def norm(self, name: str, size: int = 0, *, mean: float = 1.0, bias: bool = False) -> None:
        size = size or self.shape.width
        self.out[f"{name}.weight"] = self.normal(name, size, std=0.2, mean=mean - self.family.gemma)
        if bias:
            self.out[f"{name}.bias"] = self.normal(f"{name}.bias", size, std=0.2)

    def last_norm(self, name: str, *, bias: bool = False) -> None:
        self.norm(name, bias=bias)
        if self.family.tied:
            # Half the signs turned: or a token that is embedded by the row that scores it follows itself.
            weight = self.out[f"{name}.weight"]
            weight[::2] = -weight[::2] - 2 * self.family.gemma

    def embedding(self, name: str, rows: int = VOCABULARY) -> None:
        self.out[name] = self.normal(name, rows, self.shape.width, std=0.5)

    def head(self, name: str) -> None:
        weight = self.normal(name, VOCABULARY, self.shape.width, std=SPREAD / math.sqrt(self.shape.width))
        # No reply ends, and none opens a turn, by chance.
        weight[: len(CONTROL)] *= 0.1
        self.out[name] = weight


def _decoder(draw: _Draw) -> None:
    family, shape = draw.family, draw.shape
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    # Gemma multiplies its embedding by the root of the width; the blocks have to keep up.
    loud = SPREAD if family.gemma else 1.0
    firm = FIRM if family.activation.startswith("gelu") else 1.0
    (draw.head if family.tied else draw.embedding)("model.embed_tokens.weight")
    for index in range(shape.layers):
        block = f"model.layers.{index}"
        attention, mlp = f"{block}.self_attn", f"{block}.mlp"
        after = 2.0 if family.sandwich else 1.0
        draw.norm(f"{block}.input_layernorm")
        draw.norm(f"{block}.post_attention_layernorm", mean=after)
        if family.sandwich:
            draw.norm(f"{block}.pre_feedforward_layernorm")
            draw.norm(f"{block}.post_feedforward_layernorm", mean=after)
        if family.qk_norm:
            draw.norm(f"{attention}.q_norm", shape.head_dim, mean=LOOK)
            draw.norm(f"{attention}.k_norm", shape.head_dim, mean=LOOK)
        bias = 0.3 if family.qkv_bias else 0.0
        draw.linear(f"{attention}.q_proj", queries, shape.width, LOOK, bias=bias)
        draw.linear(f"{attention}.k_proj", keys, shape.width, LOOK, bias=bias)
        draw.linear(f"{attention}.v_proj", keys, shape.width, 1.4, bias=bias)
        draw.linear(f"{attention}.o_proj", shape.width, queries, loud * HEARD)
        draw.linear(f"{mlp}.gate_proj", shape.ff, shape.width, firm)
        draw.linear(f"{mlp}.up_proj", shape.ff, shape.width, 1.0)
        draw.linear(f"{mlp}.down_proj", shape.width, shape.ff, loud * THOUGHT / firm)
        if family.fused:
            _fuse(draw.out, attention, ("q_proj", "k_proj", "v_proj"), "qkv_proj")
            _fuse(draw.out, mlp, ("gate_proj", "up_proj"), "gate_up_proj")
    draw.last_norm("model.norm")
    if not family.tied:
        draw.head("lm_head.weight")


def _fuse(weights: Weights, module: str, parts: tuple[str, ...], whole: str) -> None:
    weights[f"{module}.{whole}.weight"] = np.concatenate(
        [weights.pop(f"{module}.{part}.weight") for part in parts]
    )


def _phi(draw: _Draw) -> None:
    shape = draw.shape
    width = shape.width
    draw.embedding("model.embed_tokens.weight")
    for index in range(shape.layers):
        block = f"model.layers.{index}"
        draw.norm(f"{block}.input_layernorm", bias=True)
        draw.linear(f"{block}.self_attn.q_proj", width, width, LOOK, bias=0.2)
        draw.linear(f"{block}.self_attn.k_proj", width, width, LOOK, bias=0.2)
        draw.linear(f"{block}.self_attn.v_proj", width, width, 1.4, bias=0.2)
        draw.linear(f"{block}.self_attn.dense", width, width, HEARD, bias=0.2)
        draw.linear(f"{block}.mlp.fc1", shape.ff, width, FIRM, bias=0.2 * FIRM)
        # Centred: or what every activation has in common, being positive, would drown what it says.
        draw.linear(f"{block}.mlp.fc2", width, shape.ff, THOUGHT / FIRM, bias=0.2, centred=True)
    draw.last_norm("model.final_layernorm", bias=True)
    draw.head("lm_head.weight")
    draw.out["lm_head.bias"] = draw.normal("lm_head.bias", VOCABULARY, std=0.5)


def _gpt2(draw: _Draw) -> None:
    shape = draw.shape
    width = shape.width
    draw.head("transformer.wte.weight")
    draw.embedding("transformer.wpe.weight", shape.context)
    for index in range(shape.layers):
        block = f"transformer.h.{index}"
        draw.norm(f"{block}.ln_1", bias=True)
        draw.norm(f"{block}.ln_2", bias=True)
        draw.linear(f"{block}.attn.c_attn", 3 * width, width, LOOK, bias=0.2, transposed=True)
        draw.linear(f"{block}.attn.c_proj", width, width, HEARD, bias=0.2, transposed=True)
        draw.linear(f"{block}.mlp.c_fc", shape.ff, width, FIRM, bias=0.2 * FIRM, transposed=True)
        draw.linear(
            f"{block}.mlp.c_proj", width, shape.ff, THOUGHT / FIRM, bias=0.2, transposed=True, centred=True
        )
    draw.last_norm("transformer.ln_f", bias=True)
