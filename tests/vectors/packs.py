"""Packs for tests: small, whole, and different in every number."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trimtab.engine.gguf_file import read_gguf
from trimtab.engine.identity import ModelIdentity
from trimtab.engine.program import Array
from trimtab.vectors.pack import (
    AnchorWords,
    BaseModel,
    Calibration,
    CalibrationPoint,
    Component,
    Direction,
    Interval,
    Layer,
    Pack,
    PackGate,
    ProbeFit,
    Provenance,
    Setting,
    Similarity,
    Site,
    TopTokens,
)
from trimtab.vectors.pack_fields import Raw, raw_fields
from trimtab.vectors.pack_gguf import DIGEST, Value, write_gguf

FloatArray = npt.NDArray[np.float32]
TINY = ModelIdentity(
    name="Tiny random model",
    architecture="llama",
    layers=4,
    width=8,
    vocabulary=512,
    vocabulary_hash="5" * 64,
    quantisation="F32",
    weights_hash="6" * 64,
)


def draw(width: int, seed: int) -> FloatArray:
    return np.random.default_rng(seed).standard_normal(width).astype(np.float32)


def unit(width: int, seed: int) -> FloatArray:
    vector = draw(width, seed).astype(np.float64)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def probe_pack(model: ModelIdentity = TINY, /, **changes: Any) -> Pack:
    """All that a build could find, at every layer; the middle ones are good."""
    width = model.width
    layers = tuple(
        Layer(
            number=number,
            probe=ProbeFit(
                unit=Array(unit(width, number)),
                norm=1.5 + number,
                bias=-0.25 * number,
                accuracy=0.8 + 0.16 * number / model.layers,
                shift=0.5 + number,
            ),
            mean=Direction(unit=Array(unit(width, 10 + number)), length=7.0 + number),
            component=Component(unit=Array(unit(width, 20 + number)), length=3.0 + number, sign=1),
            activation_norm=11.0 + number,
        )
        for number in range(model.layers)
    )
    fields: dict[str, Any] = {
        "value": "security",
        "name": "Security",
        "meaning": "Safety, and things that stay as they are.",
        "method": "probe",
        "model": BaseModel.of(model, engine="llama"),
        "recipe_hash": "7" * 64,
        "layers": layers,
        "good": tuple(range(1, model.layers - 1)),
        "level": 1.5,
        "gate": PackGate(
            weight=Array(draw(width, 30)), bias=0.5, layer=1, threshold=0.4, form="chat", accuracy=0.97
        ),
        "anchors": AnchorWords(positive=("safe", "secure"), negative=("risky", "größer")),
        "similarities": (
            Similarity(value="tradition", layer=1, cosine=0.6),
            Similarity(value="stimulation", layer=2, cosine=-0.4),
        ),
        "top_tokens": (
            TopTokens(layer=1, tokens=(" safe", " lock")),
            TopTokens(layer=2, tokens=()),
            TopTokens(layer=3, tokens=(" home",)),
        ),
        "calibration": Calibration(
            quality="fluency",
            questions=40,
            points=(point(0.0, 0.3, 0.99), point(1.5, 0.8, 0.97), point(3.0, 0.9, 0.7)),
        ),
        "recommended": Setting(level=1.5, strength=1.0),
        "maximum": Setting(level=3.0, strength=1.0),
        "warnings": ("Trained on few pairs.",),
        "provenance": Provenance(
            tool="trimtab 0.1", date="2026-03-01", author="A. Writer", licence="CC-BY-4.0"
        ),
    }
    return Pack(**(fields | changes))


def point(level: float, value: float, quality: float) -> CalibrationPoint:
    return CalibrationPoint(
        level=level,
        strength=1.0,
        shift=2.0 * level,
        value=Interval(score=value, low=value - 0.1, high=value + 0.05),
        quality=Interval(score=quality, low=quality - 0.02, high=quality + 0.01),
    )


def imported_pack(model: ModelIdentity = TINY, /, **changes: Any) -> Pack:
    """Plain vectors from elsewhere, one of them with an offset."""
    fields: dict[str, Any] = {
        "value": "ornate",
        "name": "ornate",
        "method": "imported",
        "model": BaseModel.of(model),
        "derived_at": Site(kind="delta", offset=-1),
        "layers": (
            Layer(number=1, added=Array(draw(model.width, 1))),
            Layer(number=2, added=Array(draw(model.width, 2)), offset=Array(draw(model.width, 3))),
        ),
        "good": (1, 2),
        "provenance": Provenance(source_format="jukofyork", source_file="ornate.gguf", source_hash="8" * 64),
    }
    return Pack(**(fields | changes))


def rewritten(
    data: bytes,
    change: Callable[[dict[str, Any]], None] | None = None,
    tensors: Callable[[dict[str, FloatArray]], None] | None = None,
) -> bytes:
    """A pack's file with other metadata or tensors, written as a pack is, and without its seal."""
    with read_gguf(data, "x") as file:
        metadata: dict[str, Any] = {key: _writable(value) for key, value in raw_fields(file).items()}
        for key in ("controlvector.layer_count", "controlvector.model_hint"):
            metadata[key] = file.metadata[key]
        vectors = {name: file.whole(name) for name in file.tensors}
    metadata.pop(DIGEST, None)
    if change is not None:
        change(metadata)
    if tensors is not None:
        tensors(vectors)
    return write_gguf(metadata, vectors)


def _writable(value: Raw) -> Value:
    if isinstance(value, tuple):
        return tuple(text.decode() for text in value)
    if isinstance(value, np.ndarray) and value.dtype == np.int64:
        return value.astype(np.int32 if (value < 0).any() else np.uint32)
    if isinstance(value, int) and value < 0:
        return np.int32(value)
    return value


def foreign_gguf(
    metadata: Mapping[str, tuple[int, Any]], tensors: Sequence[tuple[str, tuple[int, ...], int, bytes]]
) -> bytes:
    """A GGUF file of any kind: metadata by (type, value), tensors by name, shape, type and data."""
    scalars = {0: "<B", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 12: "<d"}

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata))
    for key, (kind, value) in metadata.items():
        head += text(key) + struct.pack("<I", kind)
        head += text(value) if kind == 8 else struct.pack(scalars[kind], value)
    body = b""
    for name, shape, kind, data in tensors:
        head += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, len(body))
        body += data + b"\0" * (-len(data) % 32)
    return head + b"\0" * (-len(head) % 32) + body
