"""Random models of a real one's shape, so that speed can be measured with nothing to download."""

from __future__ import annotations

import json
import math
import os
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gguf
import numpy as np
import numpy.typing as npt
import platformdirs

Type = Literal["Q8_0", "F16"]

CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
EDITION = "a"
"""In the names of files: a change of what this module writes takes the next letter."""
CONTEXT = 4096
THETA = 10_000.0
EPS = 1e-5
BLOCK = 32
"""How many weights of Q8_0 share a scale."""


@dataclass(frozen=True)
class Shape:
    layers: int
    width: int
    heads: int
    kv_heads: int
    ff: int
    vocabulary: int

    @property
    def head_dim(self) -> int:
        return self.width // self.heads

    @property
    def name(self) -> str:
        return (
            f"random-llama-{EDITION}-{self.layers}x{self.width}-{self.heads}h{self.kv_heads}kv"
            f"-{self.ff}ff-{self.vocabulary}v"
        )


def random_llama(
    folder: Path | None = None,
    *,
    layers: int = 24,
    width: int = 896,
    heads: int = 14,
    kv_heads: int = 2,
    ff: int = 4864,
    vocabulary: int = 32_000,
    type: Type = "Q8_0",
) -> Path:
    """A Llama as GGUF, of the shape of Qwen2-0.5B; made once and kept in the user's cache folder."""
    shape = Shape(layers, width, heads, kv_heads, ff, vocabulary)
    target = (folder or _cache()) / f"{shape.name}-{type}.gguf"
    if not target.exists():
        unfinished = _unfinished(target)
        try:
            _write_gguf(unfinished, shape, type)
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
    return target


def random_llama_folder(
    folder: Path | None = None,
    *,
    layers: int = 12,
    width: int = 512,
    heads: int = 8,
    kv_heads: int = 2,
    ff: int = 1408,
    vocabulary: int = 8192,
) -> Path:
    """A smaller Llama in float32 as a transformers folder; made once, in the user's cache folder."""
    shape = Shape(layers, width, heads, kv_heads, ff, vocabulary)
    target = (folder or _cache()) / shape.name
    if not target.exists():
        unfinished = _unfinished(target)
        try:
            unfinished.mkdir()
            _write_folder(unfinished, shape)
            unfinished.rename(target)
        except OSError:
            # Another process may have put it there first.
            if not target.exists():
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return target


def _cache() -> Path:
    return platformdirs.user_cache_path("trimtab", appauthor=False) / "benchmarks"


def _unfinished(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.with_name(f".{target.name}.{os.getpid()}")


@dataclass(frozen=True)
class _Matrix:
    name: str
    hf_name: str
    rows: int
    columns: int
    std: float
    quiet: int = 0
    """How many of the first rows are zero."""


def _matrices(shape: Shape) -> Iterator[_Matrix]:
    width, keys = shape.width, shape.kv_heads * shape.head_dim
    yield _Matrix("token_embd", "model.embed_tokens", shape.vocabulary, width, 0.5)
    for layer in range(shape.layers):
        for name, hf_name, rows, columns, gain in (
            ("attn_q", "self_attn.q_proj", width, width, 1.5),
            ("attn_k", "self_attn.k_proj", keys, width, 1.5),
            ("attn_v", "self_attn.v_proj", keys, width, 1.0),
            ("attn_output", "self_attn.o_proj", width, width, 1.0),
            ("ffn_gate", "mlp.gate_proj", shape.ff, width, 1.0),
            ("ffn_up", "mlp.up_proj", shape.ff, width, 1.0),
            ("ffn_down", "mlp.down_proj", width, shape.ff, 1.0),
        ):
            std = gain / math.sqrt(columns)
            yield _Matrix(f"blk.{layer}.{name}", f"model.layers.{layer}.{hf_name}", rows, columns, std)
    # A control token is never the likeliest, so greedy text has no end.
    yield _Matrix("output", "lm_head", shape.vocabulary, width, 2.5 / math.sqrt(width), len(CONTROL))


def _norms(shape: Shape) -> Iterator[tuple[str, str]]:
    for layer in range(shape.layers):
        yield f"blk.{layer}.attn_norm", f"model.layers.{layer}.input_layernorm"
        yield f"blk.{layer}.ffn_norm", f"model.layers.{layer}.post_attention_layernorm"
    yield "output_norm", "model.norm"


def _write_gguf(path: Path, shape: Shape, type: Type) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(shape.name)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if type == "Q8_0" else gguf.LlamaFileType.MOSTLY_F16)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ff)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(THETA)
    writer.add_layer_norm_rms_eps(EPS)
    writer.add_vocab_size(shape.vocabulary)
    _write_gguf_tokens(writer, shape.vocabulary)
    kind = gguf.GGMLQuantizationType[type]
    for name, _ in _norms(shape):
        writer.add_tensor(f"{name}.weight", np.ones(shape.width, np.float32))
    for matrix in _matrices(shape):
        values = _q8(matrix) if type == "Q8_0" else _normal(matrix).astype(np.float16)
        writer.add_tensor(f"{matrix.name}.weight", values, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _generator(matrix: _Matrix) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(zlib.crc32(matrix.name.encode())))


def _normal(matrix: _Matrix) -> npt.NDArray[np.float32]:
    values = _generator(matrix).standard_normal((matrix.rows, matrix.columns), dtype=np.float32)
    values *= np.float32(matrix.std)
    values[: matrix.quiet] = 0
    return values


def _q8(matrix: _Matrix) -> npt.NDArray[np.uint8]:
    """Random bytes as Q8_0 holds them: a half-precision scale, then 32 weights. Even, not normal, and so
    drawn as fast as bytes can be."""
    blocks = matrix.columns // BLOCK
    generator = _generator(matrix)
    out = np.empty((matrix.rows, blocks, 2 + BLOCK), np.uint8)
    out[:, :, 2:] = np.frombuffer(generator.bytes(matrix.rows * matrix.columns), np.uint8).reshape(
        matrix.rows, blocks, BLOCK
    )
    spread = 256 / math.sqrt(12)
    out[:, :, :2] = np.array([matrix.std / spread], "<f2").view(np.uint8)
    out[: matrix.quiet, :, :2] = 0
    return out.reshape(matrix.rows, blocks * (2 + BLOCK))


def _write_folder(folder: Path, shape: Shape) -> None:
    from safetensors.numpy import save_file
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tensors = {f"{matrix.hf_name}.weight": _normal(matrix) for matrix in _matrices(shape)}
    tensors |= {f"{name}.weight": np.ones(shape.width, np.float32) for _, name in _norms(shape)}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config: dict[str, Any] = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "float32",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "intermediate_size": shape.ff,
        "max_position_embeddings": CONTEXT,
        "hidden_act": "silu",
        "rms_norm_eps": EPS,
        "rope_parameters": {"rope_type": "default", "rope_theta": THETA},
        "tie_word_embeddings": False,
        "bos_token_id": 0,
        "eos_token_id": 2,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tokens = _tokens(shape.vocabulary)
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, _merges()))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in CONTROL])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": CONTROL[0],
        "eos_token": CONTROL[2],
        "chat_template": _TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def _write_gguf_tokens(writer: gguf.GGUFWriter, vocabulary: int) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(_tokens(vocabulary))
    plain = vocabulary - len(CONTROL)
    writer.add_token_types([gguf.TokenType.CONTROL] * len(CONTROL) + [gguf.TokenType.NORMAL] * plain)
    writer.add_token_merges([" ".join(pair) for pair in _merges()])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(_TEMPLATE)


def _tokens(vocabulary: int) -> list[str]:
    """Control tokens, one token for each byte, a merge, and made-up words that no text is cut into."""
    tokens = [*CONTROL, *_byte_letters(), *("".join(pair) for pair in _merges())]
    return tokens + [f"Ġw{index}" for index in range(len(tokens), vocabulary)]


def _merges() -> list[tuple[str, str]]:
    return [("Ġ", "t")]


def _byte_letters() -> list[str]:
    """The letters that byte-level vocabularies write bytes with: printable ones stand for themselves."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in sorted(printable)] + [chr(256 + place) for place in range(len(others))]


_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
