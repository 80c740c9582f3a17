"""Looks into a GGUF file before llama.cpp does, and refuses by name what is no model it could chat with."""

from __future__ import annotations

from dataclasses import dataclass

from trimtab.engine.gguf_file import GgufFile
from trimtab.errors import ModelError, Unsupported

_KINDS = {
    "controlvector": ("a control vector", "Import it as a pack, and load the model it was made for."),
    "clip": ("the vision part of a model", "Load the language model that it belongs to."),
    "imatrix": ("an importance matrix", "Load the model that it was made for."),
}
_TYPES = {
    "adapter": ("a LoRA adapter", "Load its base model, and add the adapter to the steering."),
    "mmproj": _KINDS["clip"],
    "imatrix": _KINDS["imatrix"],
    "vocab": ("only a vocabulary", "Load the whole model."),
}
_ENCODERS = {
    "bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2", "jina-bert-v3",
    "eurobert", "gemma-embedding", "llama-embed", "t5encoder", "wavtokenizer-dec", "pangu-embedded-encoder",
}  # fmt: skip
_ENCODER_DECODERS = {"t5"}

_MAX_LAYERS = 512
_MAX_WIDTH = 1 << 20
_MAX_CONTEXT = 1 << 31
_MAX_VOCABULARY = 1 << 24


@dataclass(frozen=True)
class Dimensions:
    """What a model's file says of its size."""

    architecture: str
    layers: int
    width: int
    context: int
    vocabulary: int
    cache_values: int
    """How many numbers the cache holds for one position."""
    heads: int
    inner: int
    original_context: int
    """The context before it was stretched; beyond it some models turn another way."""


def check_model(file: GgufFile) -> Dimensions:
    """What the file says of the model, or why it is none."""
    architecture = file.architecture
    _refuse_other_kinds(file, architecture)
    if not file.tensors:
        raise ModelError(f"{file.path} holds only a vocabulary.", "Load the whole model.")
    if "token_embd.weight" not in file.tensors:
        raise ModelError(
            f"{file.path} holds no token embeddings: it is no language model.", "Choose another file."
        )
    layers = _whole(file, f"{architecture}.block_count", 1, _MAX_LAYERS)
    width = _whole(file, f"{architecture}.embedding_length", 1, _MAX_WIDTH)
    context = _whole(file, f"{architecture}.context_length", 1, _MAX_CONTEXT)
    vocabulary = _vocabulary(file)
    embedding = file.tensors["token_embd.weight"].shape
    if len(embedding) != 2 or embedding[0] != width or embedding[1] != vocabulary:
        raise _damaged(
            file, f"its token embeddings are {' x '.join(map(str, embedding))}, not {width} x {vocabulary}"
        )
    heads = _per_layer(file, f"{architecture}.attention.head_count", layers, default=1)
    kv_heads = _per_layer(file, f"{architecture}.attention.head_count_kv", layers, default=None) or heads
    key, value = (
        _head_length(file, f"{architecture}.attention.{of}_length", width, heads) for of in ("key", "value")
    )
    _check_rotation(file, f"{architecture}.rope.dimension_count", key)
    for name in ("rms_epsilon", "epsilon"):
        _check_epsilon(file, f"{architecture}.attention.layer_norm_{name}")
    inner = _per_layer(file, f"{architecture}.feed_forward_length", layers, default=4 * width)
    return Dimensions(
        architecture=architecture,
        layers=layers,
        width=width,
        context=context,
        vocabulary=vocabulary,
        cache_values=sum(kv_heads) * (key + value),
        heads=max(heads),
        inner=max(inner),
        original_context=_original_context(file, architecture),
    )


def _refuse_other_kinds(file: GgufFile, architecture: str) -> None:
    if not architecture:
        raise ModelError(f"{file.path} names no architecture: it is no model.", "Choose another file.")
    kind = _TYPES.get(file.text("general.type") or "") or _KINDS.get(architecture)
    if kind:
        raise ModelError(f"{file.path} is {kind[0]}, not a model.", kind[1])
    if architecture in _ENCODERS:
        raise Unsupported(
            f"{file.path} is an embedding model ({architecture}): it writes no text.", "Choose a chat model."
        )
    if architecture in _ENCODER_DECODERS:
        raise Unsupported(
            f"{file.path} is an encoder-decoder model ({architecture}), which cannot be steered here.",
            "Choose a decoder-only chat model.",
        )


def _vocabulary(file: GgufFile) -> int:
    if file.text("tokenizer.ggml.model") is None:
        raise ModelError(f"{file.path} has no tokeniser.", "Convert the model again, with its tokeniser.")
    count = file.count("tokenizer.ggml.tokens")
    if count is None or not 1 <= count <= _MAX_VOCABULARY:
        raise ModelError(f"{file.path} has no vocabulary.", "Convert the model again, with its tokeniser.")
    if file.numbers("tokenizer.ggml.tokens") is not None:
        raise _damaged(file, "its vocabulary is no list of texts")
    # llama.cpp gives up the whole process over a text that occurs twice; it reads texts up to a zero byte.
    texts = [text.split(b"\0", 1)[0] for text in file.texts("tokenizer.ggml.tokens")]
    named = [text for text in texts if text]
    if len(set(named)) < len(named):
        raise _damaged(file, "two of its tokens have the same text")
    # llama.cpp reads these lists as far as the vocabulary goes, whatever their own length.
    for key in ("tokenizer.ggml.scores", "tokenizer.ggml.token_type"):
        length = file.count(key)
        if length is not None and (length != count or file.numbers(key) is None):
            raise _damaged(file, f"{key} has {length} entries for {count} tokens")
    for name in ("bos", "eos", "eot", "unknown", "separator", "padding", "mask"):
        token = file.number(f"tokenizer.ggml.{name}_token_id")
        if token is not None and not 0 <= token < count and token != 0xFFFFFFFF:
            raise _damaged(file, f"its {name} token is {token} of {count}")
    return count


def _whole(file: GgufFile, key: str, low: int, high: int) -> int:
    value = file.number(key)
    if value is None:
        raise ModelError(
            f"{file.path} does not say {key}: it is no complete model.", "Convert the model again."
        )
    if not isinstance(value, int) or not low <= value <= high:
        raise _damaged(file, f"{key} is {value}")
    return value


def _per_layer(file: GgufFile, key: str, layers: int, *, default: int | None) -> list[int]:
    """A number that may differ from layer to layer."""
    if key not in file.metadata:
        return [] if default is None else [default] * layers
    found = file.numbers(key)
    values = [file.number(key)] * layers if found is None else [value.item() for value in found]
    if len(values) < layers:
        raise _damaged(file, f"{key} has {len(values)} entries for {layers} layers")
    checked = [value for value in values[:layers] if isinstance(value, int) and 0 <= value <= 1 << 24]
    if len(checked) < layers:
        raise _damaged(file, f"{key} is out of range")
    return checked


def _head_length(file: GgufFile, key: str, width: int, heads: list[int]) -> int:
    value = file.number(key)
    if value is None:
        return width // max(1, *heads)
    if not isinstance(value, int) or not 0 < value <= 1 << 16:
        raise _damaged(file, f"{key} is {value}")
    return value


def _check_rotation(file: GgufFile, key: str, head: int) -> None:
    value = file.number(key)
    if value is not None and head and (value % 2 or not 0 <= value <= head):
        raise _damaged(file, f"{key} is {value} in heads {head} wide")


def _check_epsilon(file: GgufFile, key: str) -> None:
    """llama.cpp gives up the whole process over one that is negative or no number."""
    value = file.number(key)
    if value is not None and not 0 <= value < 1:
        raise _damaged(file, f"{key} is {value}")


def _original_context(file: GgufFile, architecture: str) -> int:
    value = file.number(f"{architecture}.rope.scaling.original_context_length")
    return value if isinstance(value, int) else 0


def _damaged(file: GgufFile, why: str) -> ModelError:
    return ModelError(f"{file.path} is damaged: {why}.", "Download or convert it again.")
