"""Low-rank adapters on a model's linear layers, several by name, of which one or none acts."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from trimtab.errors import Unsupported

Targets = Literal["all", "attention", "qv"]
_QV = (".q_proj", ".v_proj")


class Factors(nn.Module):
    """One adapter of one layer: `scale * b @ a`, nothing at first."""

    def __init__(self, layer: nn.Module, rank: int, scale: float, dropout: float, seed: int) -> None:
        super().__init__()
        inside, outside = widths(layer)
        device = layer.get_parameter("weight").device
        drawn = torch.rand(rank, inside, generator=torch.Generator().manual_seed(seed))
        # The bounds that peft draws from.
        self.a = nn.Parameter(((2 * drawn - 1) / math.sqrt(inside)).to(device))
        self.b = nn.Parameter(torch.zeros(outside, rank, device=device))
        self.scale = scale
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor) -> Tensor:
        inner = self.dropout(states).to(self.a.dtype) @ self.a.T
        added: Tensor = (inner @ self.b.T) * self.scale
        return added


class Adapted(nn.Module):
    """A linear layer with what adapters add to it."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.held = nn.ModuleDict()
        self.acting: str | None = None

    def forward(self, states: Tensor) -> Tensor:
        result: Tensor = self.layer(states)
        if self.acting is None:
            return result
        added: Tensor = self.held[self.acting](states).to(result.dtype)
        return result + added


class Adapters:
    """All adapters of one model; each covers whole blocks, from the first one on."""

    def __init__(self, model: nn.Module, blocks: Sequence[nn.Module], targets: Targets) -> None:
        self._model = model
        self._sites = {
            name: number for number, block in enumerate(blocks) for name in _linear(model, block, targets)
        }
        self._layers: dict[str, Adapted] = {}

    def add(self, name: str, *, blocks: int, rank: int, alpha: float, dropout: float, seed: int) -> None:
        """An adapter on the first so many blocks, which acts from now on."""
        for site, block in self._sites.items():
            if block < blocks:
                layer = self._adapted(site)
                own = zlib.crc32(f"{seed} {name} {site}".encode())
                layer.held[name] = Factors(layer.layer, rank, alpha / rank, dropout, own)
        self.use(name)

    def use(self, name: str | None) -> None:
        for layer in self._layers.values():
            layer.acting = name if name is not None and name in layer.held else None

    @contextmanager
    def acting(self, name: str | None) -> Iterator[None]:
        """Within, this adapter acts and no other."""
        before = [layer.acting for layer in self._layers.values()]
        self.use(name)
        try:
            yield
        finally:
            for layer, own in zip(self._layers.values(), before, strict=True):
                layer.acting = own

    def factors(self, name: str) -> dict[str, nn.Parameter]:
        """By layer and factor: `LAYER.a` and `LAYER.b`."""
        found: dict[str, nn.Parameter] = {}
        for site, layer in self._layers.items():
            if name in layer.held:
                found[f"{site}.a"] = layer.held[name].get_parameter("a")
                found[f"{site}.b"] = layer.held[name].get_parameter("b")
        return found

    def load(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        for key, parameter in self.factors(name).items():
            parameter.data.copy_(tensors[key])

    def _adapted(self, site: str) -> Adapted:
        if site not in self._layers:
            parent, _, leaf = site.rpartition(".")
            layer = Adapted(self._model.get_submodule(site))
            setattr(self._model.get_submodule(parent), leaf, layer)
            self._layers[site] = layer
        return self._layers[site]


def widths(layer: nn.Module) -> tuple[int, int]:
    """How wide what goes in and what comes out is; GPT-2's layers keep their weights transposed."""
    rows, columns = layer.get_parameter("weight").shape
    return (rows, columns) if transposed(layer) else (columns, rows)


def transposed(layer: nn.Module) -> bool:
    return type(layer).__name__ == "Conv1D"


def _linear(model: nn.Module, block: nn.Module, targets: Targets) -> list[str]:
    """The full names of a block's linear layers that are to be adapted."""
    prefix = next(name for name, module in model.named_modules() if module is block)
    every = [
        f"{prefix}.{name}"
        for name, module in block.named_modules()
        if isinstance(module, nn.Linear) or transposed(module)
    ]
    found = [name for name in every if _wanted(name.removeprefix(prefix), targets)]
    if not found:
        raise Unsupported(
            f"{type(model).__name__} keeps no layers that --targets {targets} means.", "Use --targets all."
        )
    return found


def _wanted(name: str, targets: Targets) -> bool:
    match targets:
        case "qv":
            return name.endswith(_QV)
        case "attention":
            return "attn" in name or "attention" in name
        case "all":
            return True


def trainable(model: Any, parameters: Sequence[nn.Parameter]) -> None:
    """These learn from now on, and nothing else in the model."""
    model.requires_grad_(False)
    for parameter in parameters:
        parameter.requires_grad_(True)
