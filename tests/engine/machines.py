"""Loads tiny models on either engine, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.tiny import TinyModel
from trimtab.engine.contract import LoadRequest
from trimtab.engine.machine import Machine

ENGINES = ("llama", "torch")


def load_machine(kind: str, model: TinyModel, **options: Any) -> Machine:
    """The model on one engine, exact unless said otherwise."""
    settings: dict[str, Any] = {"threads": 1, "context": 256, "exact": True} | options
    path: Path = model.gguf if kind == "llama" else model.safetensors
    request = LoadRequest(path=str(path), **settings)
    if kind == "llama":
        from trimtab.engine.llama.load import load
    else:
        from trimtab.engine.torch.load import load  # type: ignore[assignment]
    return load(request, lambda fraction: True)
