"""The identity of a model in a folder of safetensors, read from its headers: no library loads it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from trimtab.engine.identity import ModelIdentity
from trimtab.engine.text import clean_line
from trimtab.engine.vocabulary import vocabulary_hash
from trimtab.engine.weight_sample import WeightSample
from trimtab.errors import ModelError, Unsupported

_AGAIN = "Get the folder again."
_MAX_SETTINGS = 1 << 22
_MAX_HEADER = 100 << 20
_MAX_TOKENIZER = 256 << 20
_MAX_VOCABULARY = 1 << 24
_HEADS = ("lm_head.weight", "embed_out.weight")
_EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight")


class _Added(msgspec.Struct):
    id: int
    content: str


class _Words(msgspec.Struct):
    vocab: dict[str, int] | list[tuple[str, float]] = {}


class _Tokenizer(msgspec.Struct):
    model: _Words
    added_tokens: list[_Added] = []


class _Entry(msgspec.Struct):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


@dataclass(frozen=True)
class _Tensor:
    file: Path
    kind: str
    shape: tuple[int, ...]
    start: int
    size: int

    def read(self, start: int, length: int) -> bytes:
        with self.file.open("rb") as file:
            file.seek(self.start + start)
            return file.read(length)


def identify_folder(folder: Path) -> ModelIdentity:
    """What the settings, the tokenizer and the headers of the weights tell."""
    try:
        settings = _settings(folder)
        tensors = {name: tensor for file in _files(folder) for name, tensor in _tensors(file)}
        count = _rows(tensors) or _number(folder, settings, "vocab_size")
        return ModelIdentity(
            name=clean_line(folder.resolve().name),
            architecture=clean_line(str(settings.get("model_type") or ""))[:64],
            layers=_number(folder, settings, "num_hidden_layers", "n_layer", "num_layers"),
            width=_number(folder, settings, "hidden_size", "n_embd", "d_model"),
            vocabulary=count,
            vocabulary_hash=vocabulary_hash(_texts(folder, count)),
            quantisation=_quantisation(tensors),
            weights_hash=_sample(tensors),
        )
    except OSError as error:
        raise ModelError(f"{folder} cannot be read: {error.strerror}.", "Check its permissions.") from error


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(f"{folder} holds no config.json: it is no model.", "Give the folder of a model.")
    found = _json(path)
    inner = found.get("text_config")
    return {**found, **inner} if isinstance(inner, dict) else found


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(_bounded(path, _MAX_SETTINGS))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is damaged.", _AGAIN) from error
    if not isinstance(found, dict):
        raise ModelError(f"{path} does not hold what it should.", _AGAIN)
    return found


def _bounded(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ModelError(f"{path} is larger than {most >> 20} MiB.", _AGAIN)
    return data


def _number(folder: Path, settings: dict[str, Any], *names: str) -> int:
    for name in names:
        value = settings.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MAX_VOCABULARY:
            return value
    raise ModelError(f"{folder / 'config.json'} does not say {names[0]}.", _AGAIN)


def _files(folder: Path) -> list[Path]:
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        raise ModelError(f"{folder} holds no model.safetensors.", "Get the whole folder of the model.")
    try:
        places = msgspec.json.decode(_bounded(index, _MAX_HEADER), type=dict[str, Any]).get("weight_map")
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ModelError(f"{index} is damaged.", _AGAIN) from error
    if not isinstance(places, dict) or not places:
        raise ModelError(f"{index} names no weights.", _AGAIN)
    names = sorted({str(name) for name in places.values()})
    for name in names:
        if name != Path(name).name or not name.endswith(".safetensors"):
            raise ModelError(f"{index} points to {name[:80]!r}, which is not allowed.", _AGAIN)
        if not (folder / name).is_file():
            raise ModelError(f"{folder} lacks {name[:80]!r}.", "Get the missing file.")
    return [folder / name for name in names]


def _tensors(file: Path) -> Iterator[tuple[str, _Tensor]]:
    size = file.stat().st_size
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if not 0 < length <= min(_MAX_HEADER, size - 8):
            raise ModelError(f"{file} is damaged: its header claims {length} bytes.", _AGAIN)
        header = opened.read(length)
    try:
        found = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
        found.pop("__metadata__", None)
        entries = {name: msgspec.json.decode(raw, type=_Entry) for name, raw in found.items()}
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ModelError(f"{file} is damaged: its header cannot be read.", _AGAIN) from error
    for name, entry in entries.items():
        start, end = entry.data_offsets
        if not 0 <= start <= end <= size - 8 - length:
            raise ModelError(f"{file} is damaged: {name[:80]!r} lies outside of it.", _AGAIN)
        yield name, _Tensor(file, clean_line(entry.dtype)[:16], entry.shape, 8 + length + start, end - start)


def _rows(tensors: dict[str, _Tensor]) -> int:
    """How many tokens the head scores."""
    for endings in (_HEADS, _EMBEDDINGS):
        for name, tensor in tensors.items():
            if name.endswith(endings) and len(tensor.shape) == 2 and 0 < tensor.shape[0] <= _MAX_VOCABULARY:
                return tensor.shape[0]
    return 0


def _texts(folder: Path, count: int) -> list[str]:
    """The stored text of every id; ids past the vocabulary are named as a converter to GGUF names them."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise Unsupported(
            f"{folder} holds no tokenizer.json, so it cannot be told which model it is.",
            "Save the folder again with a current version of transformers.",
        )
    try:
        found = msgspec.json.decode(_bounded(path, _MAX_TOKENIZER), type=_Tokenizer)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ModelError(f"{path} is damaged or of an unknown kind.", _AGAIN) from error
    vocabulary = found.model.vocab
    texts = [f"[PAD{number}]" for number in range(count)]
    pairs = (
        ((number, text) for text, number in vocabulary.items())
        if isinstance(vocabulary, dict)
        else ((number, text) for number, (text, _) in enumerate(vocabulary))
    )
    for number, text in pairs:
        if 0 <= number < count:
            texts[number] = text
    for added in found.added_tokens:
        if 0 <= added.id < count:
            texts[added.id] = added.content
    return texts


def _quantisation(tensors: dict[str, _Tensor]) -> str:
    sizes: Counter[str] = Counter()
    for tensor in tensors.values():
        sizes[tensor.kind] += tensor.size
    return max(sizes, key=lambda kind: (sizes[kind], kind), default="")


def _sample(tensors: dict[str, _Tensor]) -> str:
    sample = WeightSample()
    for name in sorted(tensors):
        tensor = tensors[name]
        sample.add(name, tensor.kind, tensor.shape, tensor.size, tensor.read)
    return sample.hash()
