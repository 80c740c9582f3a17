"""What a run leaves for the engines: a peft folder, a GGUF adapter, or a whole model's folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
from safetensors.torch import save_file

from trimtab.training.options import Settled
from trimtab.training.torch.checkpoints import write
from trimtab.training.torch.lora import transposed
from trimtab.training.torch.network import Network

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_FAMILIES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "gemma": gguf.MODEL_ARCH.GEMMA,
    "gemma2": gguf.MODEL_ARCH.GEMMA2,
    "phi": gguf.MODEL_ARCH.PHI2,
    "phi3": gguf.MODEL_ARCH.PHI3,
    "gpt2": gguf.MODEL_ARCH.GPT2,
}
"""By transformers' name; these are tested against llama.cpp."""
_WORDS = (
    "tokenizer*",
    "chat_template*",
    "special_tokens_map.json",
    "vocab.*",
    "merges.txt",
    "added_tokens.json",
)
"""What belongs to the tokenizer in a model's folder."""


def write_peft(network: Network, name: str, options: Settled, folder: Path) -> Path:
    """The adapter as a folder that peft reads."""
    factors = network.adapters.factors(name)
    sites = sorted({key.rpartition(".")[0] for key in factors})
    blocks = sorted({number for site in sites for number in _numbers(site)[:1]})
    tensors = {}
    for site in sites:
        for factor, key in (("a", "lora_A"), ("b", "lora_B")):
            values = factors[f"{site}.{factor}"].detach().cpu().contiguous()
            tensors[f"base_model.model.{site}.{key}.weight"] = values
    config = {
        "base_model_name_or_path": network.folder.resolve().name,
        "bias": "none",
        "fan_in_fan_out": any(transposed(network.anatomy.model.get_submodule(site).layer) for site in sites),
        "inference_mode": True,
        "layers_to_transform": blocks,
        "lora_alpha": options.lora_alpha,
        "lora_dropout": options.dropout,
        "peft_type": "LORA",
        "r": options.rank,
        "target_modules": sorted({_within(site) for site in sites}),
        "task_type": "CAUSAL_LM",
    }
    text = json.dumps(config, indent=2) + "\n"
    write(folder / _WEIGHTS, lambda fresh: save_file(tensors, fresh, metadata={"format": "pt"}))
    write(folder / _CONFIG, lambda fresh: fresh.write_text(text, encoding="utf-8"))
    return folder


def write_gguf(network: Network, name: str, options: Settled, path: Path) -> Path | None:
    """The adapter as llama.cpp reads it; None for a family whose layout there is not known here."""
    config = network.anatomy.model.config.get_text_config(decoder=True)
    family = _FAMILIES.get(str(config.model_type))
    if family is None:
        return None
    names = gguf.get_tensor_name_map(family, len(network.anatomy.layers))
    factors = network.adapters.factors(name)
    tensors: dict[str, npt.NDArray[np.float32]] = {}
    for key, parameter in factors.items():
        site, _, factor = key.rpartition(".")
        known = names.get_name(f"{site}.weight", try_suffixes=(".weight",))
        if known is None:
            return None
        values = parameter.detach().float().cpu().numpy()
        if factor == "b" and family is gguf.MODEL_ARCH.LLAMA:
            values = in_pairs(site, values, config)
        tensors[f"{known}.lora_{factor}"] = np.ascontiguousarray(values)
    write(path, lambda fresh: _fill(fresh, family, options, tensors))
    return path


def in_pairs(site: str, rows: npt.NDArray[np.float32], config: Any) -> npt.NDArray[np.float32]:
    """Rows of q and k as GGUF keeps them for Llamas.

    Rotation turns row i of a head together with row i + half in transformers; in GGUF the two lie side by side.
    """
    counts = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    heads = counts.get(site.rpartition(".")[2])
    if heads is None:
        return rows
    halves = rows.reshape(heads, 2, len(rows) // heads // 2, -1)
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows.shape)


def write_model(network: Network, source: Path, folder: Path) -> Path:
    """The whole model, with the source's tokenizer; the folder appears whole."""
    fresh = folder.with_name(folder.name + ".part")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    network.anatomy.model.save_pretrained(fresh)
    for pattern in _WORDS:
        for file in sorted(source.glob(pattern)):
            if file.is_file():
                shutil.copyfile(file, fresh / file.name)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.replace(folder)
    return folder


def _fill(
    path: Path, family: gguf.MODEL_ARCH, options: Settled, tensors: dict[str, npt.NDArray[np.float32]]
) -> None:
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[family])
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, options.lora_alpha)
    for name in sorted(tensors):
        writer.add_tensor(name, tensors[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _numbers(site: str) -> Sequence[int]:
    return [int(part) for part in site.split(".") if part.isdecimal()]


def _within(site: str) -> str:
    """A layer's name within its block."""
    parts = site.split(".")
    at = next(place for place, part in enumerate(parts) if part.isdecimal())
    return ".".join(parts[at + 1 :])
