"""Which model this is, told from its files without loading it: equal for one model in any format or quantisation."""

from __future__ import annotations

import functools
import hashlib
import re
from collections import Counter
from pathlib import Path

import msgspec

from trimtab.engine.contract import ModelInfo
from trimtab.engine.gguf_file import GgufFile, open_gguf
from trimtab.engine.text import clean_line
from trimtab.engine.vocabulary import vocabulary_hash
from trimtab.engine.weight_sample import WeightSample
from trimtab.errors import ModelError

_SAME = {"mistral": "llama", "mixtral": "llama", "phi": "phi2", "cohere": "commandr"}
"""Architectures that transformers and llama.cpp call by other names, spelling apart."""


class ModelIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """A model's name and shape, the words it knows, and a sample of its weights."""

    name: str
    architecture: str
    layers: int
    width: int
    vocabulary: int
    vocabulary_hash: str
    quantisation: str = ""
    weights_hash: str = ""
    """Of these very weights in this very format; empty where the files were not looked at."""

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.architecture, self.layers, self.width, self.vocabulary, self.vocabulary_hash)


def fingerprint(architecture: str, layers: int, width: int, vocabulary: int, words: str) -> str:
    """SHA-256 of what all formats and quantisations of a model share: architecture, size and vocabulary."""
    facts = f"trimtab model 1\n{_plain(architecture)}\n{layers}\n{width}\n{vocabulary}\n{words}\n"
    return hashlib.sha256(facts.encode("utf-8", "replace")).hexdigest()


def identify(path: Path | str) -> ModelIdentity:
    """The model in a GGUF file or in a folder of safetensors, with a sample of its weights."""
    place = Path(path).expanduser()
    if place.is_dir():
        from trimtab.engine.model_folder import identify_folder

        return identify_folder(place)
    with open_gguf(place) as file:
        return _identify_gguf(file)


def identity_of(info: ModelInfo, weights_hash: str = "") -> ModelIdentity:
    """The model that an engine has loaded; the engine does not tell a sample of its weights."""
    return ModelIdentity(
        name=info.name,
        architecture=info.architecture,
        layers=info.layers,
        width=info.width,
        vocabulary=info.vocabulary,
        vocabulary_hash=info.vocabulary_hash,
        quantisation=info.quantisation,
        weights_hash=weights_hash,
    )


def same_architecture(one: str, other: str) -> bool:
    """Whether two names, from whatever library, are those of one architecture."""
    return _plain(one) == _plain(other)


def _plain(architecture: str) -> str:
    """One spelling: `qwen2_moe` is `qwen2moe`, `gemma3_text` is `gemma3`, `mistral` is `llama`."""
    plain = re.sub(r"[^a-z0-9]", "", architecture.lower()).removesuffix("text")
    return _SAME.get(plain, plain)


def _identify_gguf(file: GgufFile) -> ModelIdentity:
    architecture = file.architecture
    if architecture == "controlvector":
        raise ModelError(f"{file.path} is a control vector, not a model.", "Give the model it was made for.")
    words = list(file.texts("tokenizer.ggml.tokens"))
    if not architecture or not words:
        raise ModelError(f"{file.path} is no language model.", "Give a whole model in GGUF format.")
    return ModelIdentity(
        name=clean_line(file.text("general.name") or "").strip()[:200] or clean_line(file.path.stem),
        architecture=clean_line(architecture)[:64],
        layers=_whole(file, f"{architecture}.block_count"),
        width=_whole(file, f"{architecture}.embedding_length"),
        vocabulary=len(words),
        vocabulary_hash=vocabulary_hash(words),
        quantisation=_quantisation(file),
        weights_hash=_sample(file),
    )


def _whole(file: GgufFile, key: str) -> int:
    value = file.number(key)
    if not isinstance(value, int) or not 0 < value < 1 << 24:
        raise ModelError(f"{file.path} does not say {key}.", "Convert or download the model again.")
    return value


def _quantisation(file: GgufFile) -> str:
    """The format that holds most of the weights."""
    sizes: Counter[str] = Counter()
    for tensor in file.tensors.values():
        sizes[tensor.kind] += tensor.size
    return max(sizes, key=lambda kind: (sizes[kind], kind), default="")


def _sample(file: GgufFile) -> str:
    sample = WeightSample()
    for name in sorted(file.tensors):
        tensor = file.tensors[name]
        sample.add(name, tensor.kind, tensor.shape, tensor.size, functools.partial(file.raw, name))
    return sample.hash()
