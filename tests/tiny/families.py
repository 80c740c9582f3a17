"""The model families the tiny models come from: what sets each apart, and a small shape for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import gguf

Splits = Literal["gpt-2", "qwen2", "pieces"]
"""How text becomes tokens: bytes merged within GPT-2's or Qwen2's words, or sentencepiece's pieces."""


@dataclass(frozen=True)
class Shape:
    layers: int = 4
    width: int = 64
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 16
    ff: int = 128
    context: int = 1024
    theta: float = 10_000.0
    eps: float = 1e-5
    rotary: float = 1.0
    """The part of each head that is rotated."""
    window: int = 0
    attention_cap: float = 0.0
    logit_cap: float = 0.0

    @property
    def rotated(self) -> int:
        return int(self.head_dim * self.rotary)


@dataclass(frozen=True)
class Family:
    """How an architecture is laid out in a transformers folder and in GGUF."""

    layout: Literal["decoder", "phi", "gpt2"]
    """`decoder` is Llama's and its many descendants'."""
    model_class: str
    model_type: str
    arch: gguf.MODEL_ARCH
    shape: Shape
    seed: int
    """One with which greedy text stays far from ties and loops."""
    splits: Splits = "gpt-2"
    add_bos: bool = False
    tied: bool = False
    qkv_bias: bool = False
    qk_norm: bool = False
    fused: bool = False
    """q, k and v are one tensor, gate and up another."""
    permuted: bool = False
    """GGUF keeps the rows of q and k in pairs as they are rotated."""
    gemma: bool = False
    """Norm weights are stored less one, and the embedding is scaled by the root of the width."""
    sandwich: bool = False
    """A norm after attention and after the MLP too."""
    activation: str = "silu"


FAMILIES = {
    "llama": Family(
        "decoder", "LlamaForCausalLM", "llama", gguf.MODEL_ARCH.LLAMA, Shape(), 2,
        add_bos=True, permuted=True,
    ),
    "mistral": Family(
        "decoder", "MistralForCausalLM", "mistral", gguf.MODEL_ARCH.LLAMA,
        Shape(layers=3, kv_heads=1, head_dim=32, ff=96, theta=1e6), 3, add_bos=True, permuted=True,
    ),
    "qwen2": Family(
        "decoder", "Qwen2ForCausalLM", "qwen2", gguf.MODEL_ARCH.QWEN2,
        Shape(layers=5, theta=1e6, eps=1e-6), 9, splits="qwen2", tied=True, qkv_bias=True,
    ),
    "qwen3": Family(
        "decoder", "Qwen3ForCausalLM", "qwen3", gguf.MODEL_ARCH.QWEN3,
        Shape(head_dim=32, ff=96, theta=1e6, eps=1e-6), 13, splits="qwen2", tied=True, qk_norm=True,
    ),
    "gemma": Family(
        "decoder", "GemmaForCausalLM", "gemma", gguf.MODEL_ARCH.GEMMA,
        Shape(kv_heads=1, head_dim=32, eps=1e-6), 6, add_bos=True, tied=True, gemma=True,
        activation="gelu_pytorch_tanh",
    ),
    "gemma2": Family(
        "decoder", "Gemma2ForCausalLM", "gemma2", gguf.MODEL_ARCH.GEMMA2,
        Shape(head_dim=32, eps=1e-6, window=16, attention_cap=4.0, logit_cap=8.0), 16,
        add_bos=True, tied=True, gemma=True, sandwich=True, activation="gelu_pytorch_tanh",
    ),
    "phi2": Family(
        "phi", "PhiForCausalLM", "phi", gguf.MODEL_ARCH.PHI2,
        Shape(layers=3, kv_heads=4, rotary=0.5), 3, activation="gelu_new",
    ),
    "phi3": Family(
        "decoder", "Phi3ForCausalLM", "phi3", gguf.MODEL_ARCH.PHI3, Shape(layers=3), 2,
        add_bos=True, fused=True,
    ),
    "gpt2": Family(
        "gpt2", "GPT2LMHeadModel", "gpt2", gguf.MODEL_ARCH.GPT2, Shape(layers=3, kv_heads=4), 3,
        tied=True, activation="gelu_new",
    ),
}  # fmt: skip
ARCHITECTURES = tuple(FAMILIES)
