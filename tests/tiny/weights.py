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

Weights = dict[str, npt.NDArray[np.float32]]

HEAD_SPREAD = 2.5
"""The standard deviation of the logits, about."""
LOOK = 2.0
"""How sharply attention looks: at few positions, so that greedy text does not run into a loop soon."""
HEARD, THOUGHT = 3.0, 2.0
"""How loud attention and the MLP are against what passes them by."""


@dataclass(frozen=True)
class _Draw:
    """Draws each tensor from its own name, so that no tensor depends on the order."""

    seed: int
    out: Weights

    def normal(self, name: str, *shape: int, std: float, mean: float = 0.0) -> None:
        generator = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        self.out[name] = (mean + std * generator.standard_normal(shape)).astype(np.float32)

    def linear(self, name: str, rows: int, columns: int, gain: float = 1.0) -> None:
        self.normal(f"{name}.weight", rows, columns, std=gain / math.sqrt(columns))


def random_weights(family: Family, shape: Shape, seed: int) -> Weights:
    """Of a size at which logits are spread, attention looks about, and greedy text does not stall."""
    layouts: dict[str, Callable[[Family, Shape, _Draw], None]] = {"decoder": _decoder}
    draw = _Draw(seed, {})
    layouts[family.layout](family, shape, draw)
    return draw.out


def _decoder(family: Family, shape: Shape, draw: _Draw) -> None:
    width, head = shape.width, shape.head_dim
    norm_mean = 0.0 if family.gemma else 1.0
    # A quiet embedding lets the blocks decide the next token: with tied weights, or greedy text would
    # repeat its last word.
    loud = math.sqrt(width) * HEAD_SPREAD / 8 if family.gemma else 1.0

    def norm(name: str, size: int = width) -> None:
        draw.normal(f"{name}.weight", size, std=0.2, mean=norm_mean)

    _embedding(family, draw, "model.embed_tokens.weight", width)
    for index in range(shape.layers):
        block = f"model.layers.{index}"
        queries, keys = shape.heads * head, shape.kv_heads * head
        norm(f"{block}.input_layernorm")
        norm(f"{block}.post_attention_layernorm")
        if family.sandwich:
            norm(f"{block}.pre_feedforward_layernorm")
            norm(f"{block}.post_feedforward_layernorm")
        attention, mlp = f"{block}.self_attn", f"{block}.mlp"
        if family.fused:
            draw.linear(f"{attention}.qkv_proj", queries + 2 * keys, width, LOOK)
            draw.linear(f"{mlp}.gate_up_proj", 2 * shape.ff, width)
        else:
            for part, rows in (("q", queries), ("k", keys), ("v", keys)):
                draw.linear(f"{attention}.{part}_proj", rows, width, LOOK)
                if family.qkv_bias:
                    draw.normal(f"{attention}.{part}_proj.bias", rows, std=0.5)
            draw.linear(f"{mlp}.gate_proj", shape.ff, width)
            draw.linear(f"{mlp}.up_proj", shape.ff, width)
        if family.qk_norm:
            norm(f"{attention}.q_norm", head)
            norm(f"{attention}.k_norm", head)
        draw.linear(f"{attention}.o_proj", width, queries, loud * HEARD)
        draw.linear(f"{mlp}.down_proj", width, shape.ff, loud * THOUGHT)
    norm("model.norm")
    if not family.tied:
        _head(draw, "lm_head.weight", width)


def _embedding(family: Family, draw: _Draw, name: str, width: int) -> None:
    if family.tied:
        _head(draw, name, width)
    else:
        draw.normal(name, VOCABULARY, width, std=0.5)


def _head(draw: _Draw, name: str, width: int) -> None:
    draw.normal(name, VOCABULARY, width, std=HEAD_SPREAD / math.sqrt(width))
    # No reply ends, and none opens a turn, by chance.
    draw.out[name][: len(CONTROL)] *= 0.1
