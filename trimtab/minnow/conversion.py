"""Makes a GGUF file from a folder of minnow's f16 weights, of exactly these weights."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal

import gguf
import numpy as np
import numpy.typing as npt

from trimtab.errors import ModelError

Precision = Literal["f32", "q8_0"]
Array = npt.NDArray[Any]

_KINDS: dict[str, type[np.generic]] = {"F16": np.float16, "F32": np.float32}
_FILE_TYPES = {"f32": gguf.LlamaFileType.ALL_F32, "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0}


def write_gguf(folder: Path, out: Path, precision: Precision, name: str) -> None:
    """Writes the model of a transformers folder as a GGUF file; the same folder gives the same bytes."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    weights = read_safetensors(folder / "model.safetensors")
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_name(name)
    writer.add_file_type(_FILE_TYPES[precision])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    _write_tokenizer(writer, folder, config)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for key in sorted(weights):
        target = names.get_name(key, try_suffixes=(".weight",))
        if target is None:
            raise ModelError(f"{folder} holds {key}, which is no part of a Llama.", "Install Trimtab again.")
        _add(writer, target, _rows(key, weights[key].astype(np.float32), config), precision)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_safetensors(path: Path) -> dict[str, Array]:
    """The tensors of a file, checked against its length."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    body = memoryview(data)[8 + length :]
    out = {}
    try:
        for name, entry in json.loads(data[8 : 8 + length]).items():
            if name == "__metadata__":
                continue
            kind = np.dtype(_KINDS[entry["dtype"]]).newbyteorder("<")
            begin, end = entry["data_offsets"]
            if not 0 <= begin <= end <= len(body) or end - begin != math.prod(entry["shape"]) * kind.itemsize:
                raise ValueError(f"{name} has another length")
            out[name] = np.frombuffer(body[begin:end], dtype=kind).reshape(entry["shape"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is damaged: {error}.", "Install Trimtab again.") from error
    return out


def _write_tokenizer(writer: gguf.GGUFWriter, folder: Path, config: dict[str, Any]) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    model = tokenizer["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    control = {entry["content"] for entry in tokenizer["added_tokens"] if entry["special"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(
        [gguf.TokenType.CONTROL if token in control else gguf.TokenType.NORMAL for token in tokens]
    )
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_eot_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_add_bos_token(False)
    writer.add_chat_template((folder / "chat_template.jinja").read_text("utf-8"))


def _rows(name: str, values: npt.NDArray[np.float32], config: dict[str, Any]) -> npt.NDArray[np.float32]:
    """Rows of q and k in GGUF's order: each row of a head is turned with its neighbour, not with one half a head on."""
    for part, heads in ((".q_proj.", "num_attention_heads"), (".k_proj.", "num_key_value_heads")):
        if part in name:
            halves = values.reshape(config[heads], 2, config["head_dim"] // 2, -1)
            return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(values.shape)
    return values


def _add(writer: gguf.GGUFWriter, name: str, values: npt.NDArray[np.float32], precision: Precision) -> None:
    if precision == "q8_0" and values.ndim > 1:
        packed = gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0)
        writer.add_tensor(name, packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    else:
        writer.add_tensor(name, values)
