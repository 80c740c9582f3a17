"""Finds in any transformers causal model the parts that steering needs, by looking and not from a list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trimtab.errors import Unsupported

_TOLERANCE = 1e-3
_LAYER_KINDS = ("full_attention", "sliding_attention")


@dataclass(frozen=True, eq=False)
class Anatomy:
    """The parts of one loaded model."""

    model: Any
    """The whole model; its type is transformers' own affair."""
    base: nn.Module
    """Everything but the head."""
    layers: tuple[nn.Module, ...]
    norm: nn.Module
    scale: float
    """What the head's output is multiplied with."""
    softcap: float
    windows: tuple[int | None, ...]
    """By layer: how many positions it looks back, itself included; None for all."""
    width: int
    vocabulary: int

    @property
    def head(self) -> nn.Module:
        """Asked for anew each time, because an adapter may wrap it."""
        found: nn.Module = self.model.get_output_embeddings()
        return found

    @property
    def weight(self) -> Tensor:
        """The unembedding matrix."""
        found: Tensor = self.model.get_output_embeddings().weight
        return found

    @property
    def bias(self) -> Tensor | None:
        found: Tensor | None = getattr(self.model.get_output_embeddings(), "bias", None)
        return found

    def logits(self, normed: Tensor) -> Tensor:
        """The final logits in f32, for states after the final norm."""
        logits: Tensor = self.head(normed).float()
        if self.scale != 1.0:
            logits = logits * self.scale
        return self.softcap * torch.tanh(logits / self.softcap) if self.softcap else logits


def dissect(model: Any) -> Anatomy:
    """The anatomy of `model`, checked against the model's own forward pass on two tokens."""
    config = model.config.get_text_config(decoder=True)
    base = model.get_decoder()
    layers = _find_layers(base, int(config.num_hidden_layers))
    head = model.get_output_embeddings()
    if head is None or getattr(head, "weight", None) is None:
        raise _strange(model, "it has no unembedding matrix")
    device = head.weight.device
    tokens = torch.tensor([[0, 1]], device=device)
    with torch.inference_mode():
        reference = model(input_ids=tokens, use_cache=False).logits[0].float()
        norm, last, normed = _watch_end(model, base, layers, tokens)
        width = int(last.shape[-1])
        anatomy = Anatomy(
            model=model,
            base=base,
            layers=layers,
            norm=norm,
            scale=_logit_scale(config),
            softcap=float(getattr(config, "final_logit_softcapping", None) or 0.0),
            windows=layer_windows(model, config),
            width=width,
            vocabulary=int(head.weight.shape[0]),
        )
        made = anatomy.logits(normed)[0]
        limit = _TOLERANCE if made.dtype == last.dtype else 0.05
        if not torch.allclose(made, reference, rtol=limit, atol=limit * float(reference.abs().max())):
            raise _strange(model, "its logits are not its head applied to its normed state")
    return anatomy


def output_of(result: Any) -> Tensor:
    """A block's output, which some families wrap in a tuple."""
    return result if isinstance(result, Tensor) else result[0]


def layer_windows(model: Any, config: Any) -> tuple[int | None, ...]:
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if kinds is None:
        kinds = ["sliding_attention" if window else "full_attention"] * int(config.num_hidden_layers)
    for kind in kinds:
        if kind not in _LAYER_KINDS:
            raise _strange(model, f"it has layers of the kind {kind}")
    return tuple(int(window) if kind == "sliding_attention" and window else None for kind in kinds)


def _find_layers(base: nn.Module, count: int) -> tuple[nn.Module, ...]:
    stacks = [child for child in base.children() if isinstance(child, nn.ModuleList) and len(child) == count]
    if len(stacks) != 1:
        raise _strange(base, f"it has no single stack of {count} layers")
    return tuple(stacks[0])


def _watch_end(
    model: Any, base: nn.Module, layers: tuple[nn.Module, ...], tokens: Tensor
) -> tuple[nn.Module, Tensor, Tensor]:
    """The final norm, the last block's output and the normed state, seen in one pass."""
    seen: dict[nn.Module, Tensor] = {}
    norms: list[nn.Module] = []

    def after_layer(module: nn.Module, _arguments: Any, result: Any) -> None:
        seen[module] = output_of(result)

    def after_child(module: nn.Module, arguments: Any, result: Any) -> None:
        last = seen.get(layers[-1])
        if last is not None and isinstance(result, Tensor) and arguments and arguments[0] is last:
            norms.append(module)

    hooks = [layer.register_forward_hook(after_layer) for layer in layers]
    hooks += [
        child.register_forward_hook(after_child)
        for child in base.children()
        if not isinstance(child, nn.ModuleList)
    ]
    try:
        normed = base(input_ids=tokens, use_cache=False).last_hidden_state
    finally:
        for hook in hooks:
            hook.remove()
    if len(seen) != len(layers):
        raise _strange(model, "not all of its layers take part")
    outputs = [seen[layer] for layer in layers]
    if any(output.shape != outputs[0].shape or output.ndim != 3 for output in outputs):
        raise _strange(model, "its layers' outputs differ in shape")
    if len(norms) != 1 or not torch.equal(norms[0](outputs[-1]).view_as(normed), normed):
        raise _strange(model, "its last block is not followed by one final norm")
    return norms[0], outputs[-1], normed


def _logit_scale(config: Any) -> float:
    scales: tuple[tuple[str, Callable[[float], float]], ...] = (
        ("logits_scaling", lambda value: 1.0 / value),
        ("logit_scale", lambda value: value),
        ("lm_head_multiplier", lambda value: value),
        ("dim_model_base", lambda value: value / float(config.hidden_size)),
    )
    for name, scale in scales:
        value = getattr(config, name, None)
        if isinstance(value, int | float) and value:
            return scale(float(value))
    return 1.0


def _strange(model: Any, why: str) -> Unsupported:
    return Unsupported(
        f"{type(model).__name__} cannot be steered: {why}.",
        "Use a model of the Llama, Qwen, Gemma, Mistral, Phi or GPT-2 families, or a GGUF of this one.",
    )
