"""Minnow as plain PyTorch: a Llama whose weights go one to one into transformers and GGUF."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trimtab.errors import TrimtabError


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a model; `context` is the longest text that it is trained on."""

    layers: int = 6
    width: int = 256
    heads: int = 4
    kv_heads: int = 2
    ff: int = 704
    vocabulary: int = 4096
    context: int = 1024
    theta: float = 1_000.0
    eps: float = 1e-5

    @property
    def head_dim(self) -> int:
        return self.width // self.heads


SHAPES = {
    "minnow": Shape(),
    "mini": Shape(layers=6, width=128, heads=2, kv_heads=1, ff=352),
}
"""`mini` is the small model of the papers' small-model methods."""


class Cache:
    """Keys and values of what was read, with room for what follows."""

    def __init__(self, shape: Shape, batch: int, room: int, kind: torch.dtype = torch.float32) -> None:
        size = (shape.layers, batch, shape.kv_heads, room, shape.head_dim)
        self.keys, self.values = torch.zeros(size, dtype=kind), torch.zeros(size, dtype=kind)
        self.length = 0

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Appends to a layer and gives all of it; the length counts on after the last layer."""
        begin, end = self.length, self.length + keys.shape[2]
        self.keys[layer, :, :, begin:end] = keys
        self.values[layer, :, :, begin:end] = values
        if layer == len(self.keys) - 1:
            self.length = end
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def keep(self, rows: Tensor) -> None:
        """Lets go of all other rows of the batch."""
        self.keys, self.values = self._kept(self.keys, rows), self._kept(self.values, rows)

    def _kept(self, whole: Tensor, rows: Tensor) -> Tensor:
        out = whole.new_zeros((whole.shape[0], len(rows), *whole.shape[2:]))
        out[:, :, :, : self.length] = whole[:, rows, :, : self.length]
        return out


class Minnow(nn.Module):
    """Names of parameters are those of transformers' LlamaForCausalLM, less the prefix `model.`."""

    frequencies: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(_Block(shape) for _ in range(shape.layers))
        self.norm = _Norm(shape)
        half = torch.arange(0, shape.head_dim, 2, dtype=torch.float32)
        self.register_buffer("frequencies", shape.theta ** (-half / shape.head_dim), persistent=False)
        self._draw()

    def forward(
        self, tokens: Tensor, *, positions: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Logits for each position. Without a mask, each position sees all before it."""
        return self.head(self.hidden(tokens, positions=positions, mask=mask))

    def hidden(
        self,
        tokens: Tensor,
        *,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        cache: Cache | None = None,
        states: list[Tensor] | None = None,
        shifts: dict[int, Tensor] | None = None,
    ) -> Tensor:
        """The normed final states.

        `cache` is read and extended; `states` takes the output of each block; `shifts` are added to the outputs of
        blocks by layer.
        """
        if positions is None:
            begun = cache.length if cache else 0
            positions = torch.arange(begun, begun + tokens.shape[1], device=tokens.device)[None]
        angles = positions[..., None].float() * self.frequencies
        angles = torch.cat((angles, angles), dim=-1)[:, None]
        rotation = (angles.cos(), angles.sin())
        x = self.embed_tokens(tokens).float()
        for number, layer in enumerate(self.layers):
            x = layer(x, rotation, mask, cache, number)
            if shifts is not None and number in shifts:
                x = x + shifts[number]
            if states is not None:
                states.append(x)
        out: Tensor = self.norm(x)
        return out

    def head(self, states: Tensor) -> Tensor:
        """The embedding is the head too."""
        return functional.linear(states, self.embed_tokens.weight)

    def _draw(self) -> None:
        """Narrow normals; what writes into the stream is narrower with depth, so that it keeps its size."""
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                writes = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * self.shape.layers) if writes else 0.02)


class _Norm(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape.width))
        self.eps = shape.eps

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x.float(), (x.shape[-1],), self.weight, self.eps)


class _Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        inner, kv = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        self.q_proj = nn.Linear(shape.width, inner, bias=False)
        self.k_proj = nn.Linear(shape.width, kv, bias=False)
        self.v_proj = nn.Linear(shape.width, kv, bias=False)
        self.o_proj = nn.Linear(inner, shape.width, bias=False)

    def forward(
        self,
        x: Tensor,
        rotation: tuple[Tensor, Tensor],
        mask: Tensor | None,
        cache: Cache | None,
        number: int,
    ) -> Tensor:
        batch, length, _ = x.shape

        def split(projected: Tensor, heads: int) -> Tensor:
            return projected.view(batch, length, heads, self.shape.head_dim).transpose(1, 2)

        q = _rotate(split(self.q_proj(x), self.shape.heads), rotation)
        k = _rotate(split(self.k_proj(x), self.shape.kv_heads), rotation)
        v = split(self.v_proj(x), self.shape.kv_heads)
        if cache is not None:
            k, v = cache.extend(number, k, v)
        out = _attend(q, k, v, mask)
        return self.o_proj(out.transpose(1, 2).reshape(batch, length, -1))  # type: ignore[no-any-return]


class _Feed(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.ff, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.ff, bias=False)
        self.down_proj = nn.Linear(shape.ff, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))  # type: ignore[no-any-return]


class _Block(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = _Norm(shape)
        self.self_attn = _Attention(shape)
        self.post_attention_layernorm = _Norm(shape)
        self.mlp = _Feed(shape)

    def forward(
        self,
        x: Tensor,
        rotation: tuple[Tensor, Tensor],
        mask: Tensor | None,
        cache: Cache | None,
        number: int,
    ) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), rotation, mask, cache, number)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def to_transformers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights under the names of LlamaForCausalLM, which ties the head to the embedding by itself."""
    return {f"model.{name}": values for name, values in state.items()}


def from_transformers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("model."): values for name, values in state.items() if name != "lm_head.weight"}


def config(shape: Shape, *, stop: int, end: int) -> dict[str, Any]:
    """What transformers needs to know, as config.json; `stop` ends a text, `end` a turn."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "float16",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "intermediate_size": shape.ff,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": shape.context,
        "rms_norm_eps": shape.eps,
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.theta},
        # Where transformers 4 looks for it.
        "rope_theta": shape.theta,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": stop,
        "eos_token_id": end,
        "pad_token_id": stop,
    }


def shape_from(config: dict[str, Any]) -> Shape:
    """The shape that a config.json tells."""
    try:
        return Shape(
            layers=config["num_hidden_layers"],
            width=config["hidden_size"],
            heads=config["num_attention_heads"],
            kv_heads=config["num_key_value_heads"],
            ff=config["intermediate_size"],
            vocabulary=config["vocab_size"],
            context=config["max_position_embeddings"],
            theta=config["rope_parameters"]["rope_theta"],
            eps=config["rms_norm_eps"],
        )
    except KeyError as error:
        raise TrimtabError(f"The config.json lacks {error}.", "Export the model again.") from error


def as_dict(shape: Shape) -> dict[str, Any]:
    return asdict(shape)


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Attention; a mask of numbers is added to the scores, which stay as narrow as the queries.

    On CPUs that is three times as fast in training as the fused kernel.
    """
    groups = q.shape[1] // k.shape[1]
    if q.shape[2] == 1 and groups > 1:
        # Queries of one group become rows that share their keys, so that none is copied.
        rows = q.reshape(q.shape[0], k.shape[1], groups, q.shape[3])
        return functional.scaled_dot_product_attention(rows, k, v, attn_mask=mask).reshape(q.shape)
    if groups > 1:
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
    if mask is not None and mask.is_floating_point():
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2) + mask
        return torch.softmax(scores, dim=-1, dtype=scores.dtype) @ v
    causal = mask is None and q.shape[2] == k.shape[2]
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)


def _rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotates each head: its first half with its second, as transformers has it."""
    cos, sin = rotation
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return (x * cos + turned * sin).to(x.dtype)
