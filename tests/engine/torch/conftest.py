"""Tiny models for the PyTorch engine, those of the shared families and some that only transformers has."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.torch.support import open_machine
from tests.tiny import TinyModel
from tests.tiny.tokenizer import VOCABULARY
from trimtab.engine.torch.machine import TorchMachine

SMALL: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "bos_token_id": 1,
    "eos_token_id": 3,
    "pad_token_id": 0,
}
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "gemma3": ("Gemma3Text", {"sliding_window": 6, "query_pre_attn_scalar": 8, "layer_types": None}),
    "mistral with a window": ("Mistral", {"sliding_window": 5}),
    "qwen2 with a window": ("Qwen2", {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 2}),
    "granite": ("Granite", {"logits_scaling": 6.0, "embedding_multiplier": 3.0, "residual_multiplier": 0.7}),
    "cohere": ("Cohere", {"logit_scale": 0.3}),
}


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory, tiny_llama: TinyModel) -> Callable[[str], Path]:
    """Folders of models that only transformers can write, each made once."""
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp("other")
            _write(made[name], *OTHERS[name])
            for file in ("tokenizer.json", "tokenizer_config.json"):
                shutil.copy(tiny_llama.safetensors / file, made[name] / file)
        return made[name]

    return folder


@pytest.fixture(scope="session")
def torch_llama(tiny_llama: TinyModel) -> TorchMachine:
    """One machine that many tests share; take `llama`, which empties it."""
    return open_machine(tiny_llama.safetensors)


@pytest.fixture
def llama(torch_llama: TorchMachine) -> TorchMachine:
    from trimtab.engine.plan import Plan

    torch_llama.install(Plan(fingerprint=""))
    torch_llama.cut(0)
    torch_llama.interrupt(None)
    return torch_llama


def _write(folder: Path, family: str, changes: dict[str, Any]) -> None:
    import transformers

    settings = {**SMALL, **changes}
    if settings.get("layer_types", ()) is None:
        settings["layer_types"] = ["sliding_attention", "full_attention"] * 2
    config = getattr(transformers, f"{family}Config")(**settings)
    torch.manual_seed(11)
    model = getattr(transformers, f"{family.removesuffix('Text')}ForCausalLM")(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0.0, 0.15).add_(1.0 if weight.ndim == 1 else 0.0)
    model.save_pretrained(folder)
