"""A random LoRA adapter for a tiny model, as a peft folder and as a llama.cpp file."""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from tests.tiny.conversion import gguf_name, to_gguf_rows
from tests.tiny.families import FAMILIES
from tests.tiny.models import TinyModel
from tests.tiny.weights import Weights

MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class TinyAdapter:
    """One random adapter, twice."""

    gguf: Path
    peft: Path
    alpha: float


def tiny_lora(
    model: TinyModel, folder: Path, rank: int = 4, *, alpha: float = 8.0, seed: int = 1
) -> TinyAdapter:
    """Writes `adapter.gguf` and the folder `peft`; for the architectures that have all of `MODULES`."""
    pairs = _draw(model, rank, seed)
    adapter = TinyAdapter(folder / "adapter.gguf", folder / "peft", alpha)
    adapter.peft.mkdir(parents=True, exist_ok=True)
    _write_peft(adapter, pairs, rank)
    _write_gguf(adapter, model, pairs)
    return adapter


@dataclass(frozen=True)
class _Pair:
    """The change of one linear layer is `b @ a`, scaled."""

    module: str
    """The name of the layer in transformers."""
    a: np.ndarray[tuple[int, int], np.dtype[np.float32]]
    b: np.ndarray[tuple[int, int], np.dtype[np.float32]]


def _draw(model: TinyModel, rank: int, seed: int) -> list[_Pair]:
    pairs = []
    with safe_open(model.safetensors / "model.safetensors", framework="numpy") as weights:
        for name in sorted(weights.keys()):
            module = name.removesuffix(".weight")
            if not module.endswith(MODULES):
                continue
            rows, columns = weights.get_slice(name).get_shape()
            generator = np.random.default_rng([seed, zlib.crc32(module.encode())])
            a = generator.standard_normal((rank, columns)) / math.sqrt(columns)
            b = generator.standard_normal((rows, rank)) * 0.1
            pairs.append(_Pair(module, a.astype(np.float32), b.astype(np.float32)))
    if len(pairs) != len(MODULES) * model.shape.layers:
        raise ValueError(f"The {model.architecture} model lacks some of {', '.join(MODULES)}.")
    return pairs


def _write_peft(adapter: TinyAdapter, pairs: list[_Pair], rank: int) -> None:
    tensors: Weights = {}
    for pair in pairs:
        tensors[f"base_model.model.{pair.module}.lora_A.weight"] = pair.a
        tensors[f"base_model.model.{pair.module}.lora_B.weight"] = pair.b
    save_file(tensors, adapter.peft / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": adapter.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "target_modules": list(MODULES),
    }
    (adapter.peft / "adapter_config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")


def _write_gguf(adapter: TinyAdapter, model: TinyModel, pairs: list[_Pair]) -> None:
    family = FAMILIES[model.architecture]
    writer = gguf.GGUFWriter(adapter.gguf, gguf.MODEL_ARCH_NAMES[family.arch])
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, adapter.alpha)
    for pair in pairs:
        name = f"{pair.module}.weight"
        known = gguf_name(name, family, model.shape)
        writer.add_tensor(f"{known}.lora_a", pair.a)
        writer.add_tensor(f"{known}.lora_b", to_gguf_rows(name, pair.b, family, model.shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
