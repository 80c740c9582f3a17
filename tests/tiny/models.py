"""Makes a tiny random model and writes the same weights for transformers and for llama.cpp."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
from safetensors.numpy import save_file

from tests.tiny import tokenizer
from tests.tiny.conversion import to_gguf
from tests.tiny.families import FAMILIES, Family, Shape, Splits
from tests.tiny.weights import Weights, random_weights


@dataclass(frozen=True)
class TinyModel:
    """One random model, twice."""

    architecture: str
    gguf: Path
    safetensors: Path
    shape: Shape


def make(
    architecture: str,
    folder: Path,
    *,
    seed: int | None = None,
    splits: Splits | None = None,
    **changes: Any,
) -> TinyModel:
    """Writes `model.gguf` and the folder `transformers` into `folder`; `changes` are fields of `Shape`."""
    family = FAMILIES[architecture]
    family = dataclasses.replace(family, splits=splits or family.splits)
    shape = dataclasses.replace(family.shape, **changes)
    weights = random_weights(family, shape, family.seed if seed is None else seed)
    model = TinyModel(architecture, folder / "model.gguf", folder / "transformers", shape)
    model.safetensors.mkdir(parents=True, exist_ok=True)
    _write_folder(model.safetensors, family, shape, weights)
    _write_gguf(model.gguf, family, shape, weights)
    return model


def _write_folder(folder: Path, family: Family, shape: Shape, weights: Weights) -> None:
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.write_folder(folder, family)
    (folder / "config.json").write_text(json.dumps(_config(family, shape), indent=1), encoding="utf-8")
    ends = [tokenizer.id_of(tokenizer.END), tokenizer.id_of(tokenizer.PAD)]
    generation = {**_special_ids(), "eos_token_id": ends}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=1), encoding="utf-8")


def _special_ids() -> dict[str, Any]:
    return {
        "bos_token_id": tokenizer.id_of(tokenizer.BOS),
        "eos_token_id": tokenizer.id_of(tokenizer.END),
        "pad_token_id": tokenizer.id_of(tokenizer.PAD),
    }


def _config(family: Family, shape: Shape) -> dict[str, Any]:
    config: dict[str, Any] = {
        "architectures": [family.model_class],
        "model_type": family.model_type,
        "dtype": "float32",
        "vocab_size": tokenizer.VOCABULARY,
        "tie_word_embeddings": family.tied,
        **_special_ids(),
    }
    if family.layout == "gpt2":
        return config | {
            "n_embd": shape.width,
            "n_layer": shape.layers,
            "n_head": shape.heads,
            "n_inner": shape.ff,
            "n_positions": shape.context,
            "layer_norm_epsilon": shape.eps,
            "activation_function": family.activation,
            "resid_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "attn_pdrop": 0.0,
        }
    config |= {
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "intermediate_size": shape.ff,
        "max_position_embeddings": shape.context,
        "hidden_act": family.activation,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": shape.theta,
            "partial_rotary_factor": shape.rotary,
        },
        "layer_norm_eps" if family.layout == "phi" else "rms_norm_eps": shape.eps,
        "sliding_window": shape.window or None,
    }
    if family.layout == "phi":
        config["partial_rotary_factor"] = shape.rotary
    if family.model_type == "phi3":
        config["original_max_position_embeddings"] = shape.context
    if family.sandwich:
        config |= {
            "hidden_activation": family.activation,
            "query_pre_attn_scalar": shape.head_dim,
            "attn_logit_softcapping": shape.attention_cap,
            "final_logit_softcapping": shape.logit_cap,
        }
    return config


def _write_gguf(path: Path, family: Family, shape: Shape, weights: Weights) -> None:
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[family.arch])
    # No family in the name: llama.cpp wants Phi-3's own tokens in a model that is called so.
    writer.add_name("Tiny random model")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ff)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_vocab_size(tokenizer.VOCABULARY)
    if family.layout == "decoder":
        writer.add_layer_norm_rms_eps(shape.eps)
    else:
        writer.add_layer_norm_eps(shape.eps)
    if family.layout != "gpt2":
        writer.add_key_length(shape.head_dim)
        writer.add_value_length(shape.head_dim)
        writer.add_rope_dimension_count(shape.rotated)
        writer.add_rope_freq_base(shape.theta)
    if shape.window:
        writer.add_sliding_window(shape.window)
    if shape.attention_cap:
        writer.add_attn_logit_softcapping(shape.attention_cap)
    if shape.logit_cap:
        writer.add_final_logit_softcapping(shape.logit_cap)
    tokenizer.write_gguf(writer, family)
    for tensor, values in to_gguf(family, shape, weights).items():
        writer.add_tensor(tensor, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
