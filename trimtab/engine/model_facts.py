"""What a model's files say of it without loading it: its size, its form, its template, the memory it would take."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import msgspec

from trimtab.engine import memory, model_folder
from trimtab.engine.contract import LoadRequest
from trimtab.engine.gguf_file import GgufFile, LongArray, open_gguf
from trimtab.engine.identity import ModelIdentity, identify
from trimtab.engine.llama.context import context_bytes
from trimtab.engine.llama.model_file import Dimensions, check_model
from trimtab.engine.loading import choose
from trimtab.engine.text import clean, clean_line

_BATCH = 512
_TEMPLATE = "tokenizer.chat_template"
_MAX_TEMPLATE = 1 << 20
_LONGEST = 200


class Glance(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of models shows of one."""

    name: str
    architecture: str
    quantisation: str
    size: int
    """Bytes of its weights."""
    parameters: int


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """All that can be told of a model before it is loaded."""

    path: str
    engine: str
    """Which one runs it: `llama` or `torch`."""
    identity: ModelIdentity
    size: int
    parameters: int
    context: int
    """How many tokens it was trained to see at once; 0 where its files do not say."""
    template: str | None
    cache_values: int
    """How many numbers the cache holds for each token."""
    metadata: dict[str, str]
    """What else its file tells, as text by key."""
    dimensions: Dimensions | None = None

    def memory(self, context: int) -> int:
        """About how many bytes it takes with a window of so many tokens."""
        if self.dimensions is not None:
            return self.size + context_bytes(self.dimensions, context, batch=_BATCH, exact=False)
        # Without a card the PyTorch engine computes in f32, whatever the files hold.
        return 4 * (self.parameters + context * self.cache_values)


def free_memory() -> int | None:
    """The bytes that a model could take now, or None where that is unknown."""
    return memory.available()


def glance(path: Path) -> Glance:
    """A short look; raises what is wrong with the model."""
    if choose(LoadRequest(path=str(path))) == "torch":
        return _folder_glance(path)
    with open_gguf(path) as file:
        check_model(file)
        return Glance(
            name=clean_line(file.text("general.name") or "").strip()[:_LONGEST] or clean_line(path.stem),
            architecture=clean_line(file.architecture)[:64],
            quantisation=_most({name: (tensor.kind, tensor.size) for name, tensor in file.tensors.items()}),
            size=file.tensor_bytes,
            parameters=_parameters(file),
        )


def facts(path: Path) -> ModelFacts:
    """A long look: the whole vocabulary is read for the fingerprint."""
    if choose(LoadRequest(path=str(path))) == "torch":
        return _folder_facts(path)
    identity = identify(path)
    with open_gguf(path) as file:
        dimensions = check_model(file)
        return ModelFacts(
            path=clean_line(str(path)),
            engine="llama",
            identity=identity,
            size=file.tensor_bytes,
            parameters=_parameters(file),
            context=dimensions.context,
            template=_template(file.text(_TEMPLATE)),
            cache_values=dimensions.cache_values,
            metadata=_metadata(file),
            dimensions=dimensions,
        )


def _parameters(file: GgufFile) -> int:
    return sum(math.prod(tensor.shape) for tensor in file.tensors.values())


def _most(tensors: dict[str, tuple[str, int]]) -> str:
    """The format that holds most of the weights."""
    sizes: Counter[str] = Counter()
    for kind, size in tensors.values():
        sizes[kind] += size
    return max(sizes, key=lambda kind: (sizes[kind], kind), default="")


def _metadata(file: GgufFile) -> dict[str, str]:
    """Short, and without what is shown elsewhere."""
    told = {}
    for key, value in file.metadata.items():
        if key == _TEMPLATE:
            continue
        if isinstance(value, LongArray):
            shown = f"[{value.count:,} entries]"
        elif isinstance(value, tuple):
            shown = ", ".join(map(str, value))
        else:
            shown = str(value)
        shown = clean_line(shown)
        told[clean_line(key)[:_LONGEST]] = shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"
    return told


def _template(text: object) -> str | None:
    return clean(text)[:_MAX_TEMPLATE] if isinstance(text, str) else None


def _folder_tensors(folder: Path) -> dict[str, model_folder._Tensor]:
    return {
        name: tensor for file in model_folder._files(folder) for name, tensor in model_folder._tensors(file)
    }


def _folder_glance(folder: Path) -> Glance:
    settings, tensors = model_folder._settings(folder), _folder_tensors(folder)
    return Glance(
        name=clean_line(folder.resolve().name),
        architecture=clean_line(str(settings.get("model_type") or ""))[:64],
        quantisation=_most({name: (tensor.kind, tensor.size) for name, tensor in tensors.items()}),
        size=sum(tensor.size for tensor in tensors.values()),
        parameters=sum(math.prod(tensor.shape) for tensor in tensors.values()),
    )


def _folder_facts(folder: Path) -> ModelFacts:
    identity, short, settings = identify(folder), _folder_glance(folder), model_folder._settings(folder)

    def number(*names: str, default: int = 0) -> int:
        found = (settings.get(name) for name in names)
        return next((value for value in found if isinstance(value, int) and value > 0), default)

    heads = number("num_attention_heads", "n_head", default=1)
    kv_heads = number("num_key_value_heads", default=heads)
    length = number("head_dim", default=identity.width // heads)
    return ModelFacts(
        path=clean_line(str(folder)),
        engine="torch",
        identity=identity,
        size=short.size,
        parameters=short.parameters,
        context=number("max_position_embeddings", "n_positions"),
        template=_folder_template(folder),
        cache_values=2 * identity.layers * kv_heads * length,
        metadata={
            clean_line(key)[:_LONGEST]: clean_line(str(value))[:_LONGEST]
            for key, value in settings.items()
            if isinstance(value, str | int | float)
        },
    )


def _folder_template(folder: Path) -> str | None:
    own = folder / "chat_template.jinja"
    if own.is_file():
        return _template(model_folder._bounded(own, _MAX_TEMPLATE).decode("utf-8", "replace"))
    tokenizer = folder / "tokenizer_config.json"
    return _template(model_folder._json(tokenizer).get("chat_template")) if tokenizer.is_file() else None
