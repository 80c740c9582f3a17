"""A pack as the bytes of its file: one GGUF that llama.cpp loads as a control vector."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from trimtab.vectors.pack import Calibration, Pack, Setting, Site
from trimtab.vectors.pack_errors import PackError
from trimtab.vectors.pack_gguf import Value, write_sealed

SPEC_VERSION = 1
"""Of the keys under `trimtab.`; docs/packs.md tells what each version holds."""

MAX_BYTES = 64 << 20
"""Of a pack's file: nearly twice what 128 layers, 16,384 wide, need."""

UNKNOWN_ACCURACY = -1.0


def to_bytes(pack: Pack) -> bytes:
    """The file's content; equal packs give equal bytes."""
    directions = pack.directions()
    metadata: dict[str, Value] = {
        "controlvector.layer_count": len(directions),
        "controlvector.model_hint": pack.model.architecture,
        "general.architecture": "controlvector",
        "general.base_model.count": 1,
    }
    # What is not known is left out.
    metadata |= {
        key: value
        for key, value in _entries(pack)
        if value is not None and not (isinstance(value, str | tuple) and not value)
    }
    tensors = {f"direction.{number}": direction for number, direction in directions.items()}
    data = write_sealed(metadata, tensors)
    if len(data) > MAX_BYTES:
        raise PackError(
            f"The pack {pack.value} would be {len(data) >> 20} MiB large; {MAX_BYTES >> 20} MiB is the most.",
            "Keep fewer layers.",
        )
    return data


def _entries(pack: Pack) -> Iterator[tuple[str, Value | None]]:
    model, made = pack.model, pack.provenance
    yield "general.name", pack.name
    yield "general.author", made.author
    yield "general.license", made.licence
    yield "general.base_model.0.name", model.name
    yield "trimtab.spec_version", SPEC_VERSION
    yield "trimtab.method", pack.method
    yield "trimtab.value.id", pack.value
    yield "trimtab.value.meaning", pack.meaning
    yield "trimtab.recipe_hash", pack.recipe_hash
    yield "trimtab.model.architecture", model.architecture
    yield "trimtab.model.layers", model.layers
    yield "trimtab.model.width", model.width
    yield "trimtab.model.vocabulary", model.vocabulary
    yield "trimtab.model.vocabulary_hash", model.vocabulary_hash
    yield "trimtab.model.weights_hash", model.weights_hash
    yield "trimtab.model.fingerprint", model.fingerprint
    yield "trimtab.model.engine", model.engine
    yield "trimtab.model.quantisation", model.quantisation
    yield from _site("derived_at", pack.derived_at)
    yield from _site("applied_at", pack.applied_at)
    yield "trimtab.form", pack.form
    yield "trimtab.positions", pack.positions
    yield "trimtab.good_layers", _u32(pack.good)
    yield "trimtab.level", pack.level
    yield from _vectors(pack)
    yield from _gate(pack)
    yield "trimtab.anchors.positive", pack.anchors.positive
    yield "trimtab.anchors.negative", pack.anchors.negative
    yield from _findings(pack)
    yield from _calibration(pack.calibration)
    yield from _setting("recommended", pack.recommended)
    yield from _setting("maximum", pack.maximum)
    yield "trimtab.warnings", pack.warnings
    yield "trimtab.made.with", made.tool
    yield "trimtab.made.date", made.date
    yield "trimtab.source.format", made.source_format
    yield "trimtab.source.file", made.source_file
    yield "trimtab.source.hash", made.source_hash


def _site(name: str, site: Site) -> Iterator[tuple[str, Value]]:
    yield f"trimtab.{name}.kind", site.kind
    yield f"trimtab.{name}.offset", np.int32(site.offset)


def _vectors(pack: Pack) -> Iterator[tuple[str, Value]]:
    layers = pack.layers
    probes = [(layer.number, layer.probe) for layer in layers if layer.probe]
    yield from _group("probe", "directions", probes, lambda each: each.unit)
    if probes:
        yield "trimtab.probe.norms", _f64(each.norm for _, each in probes)
        yield "trimtab.probe.biases", _f64(each.bias for _, each in probes)
        yield "trimtab.probe.shifts", _f64(each.shift for _, each in probes)
        yield (
            "trimtab.probe.accuracies",
            _f64(UNKNOWN_ACCURACY if each.accuracy is None else each.accuracy for _, each in probes),
        )
    means = [(layer.number, layer.mean) for layer in layers if layer.mean]
    yield from _group("mean", "directions", means, lambda each: each.unit)
    if means:
        yield "trimtab.mean.lengths", _f64(each.length for _, each in means)
    components = [(layer.number, layer.component) for layer in layers if layer.component]
    yield from _group("component", "directions", components, lambda each: each.unit)
    if components:
        yield "trimtab.component.lengths", _f64(each.length for _, each in components)
        yield "trimtab.component.signs", np.array([each.sign for _, each in components], dtype="<i4")
    added = [(layer.number, layer.added) for layer in layers if layer.added]
    yield from _group("added", "vectors", added, lambda each: each)
    offsets = [(layer.number, layer.offset) for layer in layers if layer.offset]
    yield from _group("offset", "vectors", offsets, lambda each: each)
    norms = [(layer.number, layer.activation_norm) for layer in layers if layer.activation_norm is not None]
    if norms:
        yield "trimtab.activation_norm.layers", _u32(number for number, _ in norms)
        yield "trimtab.activation_norm.values", _f64(norm for _, norm in norms)


def _group(
    name: str, vectors: str, members: Sequence[tuple[int, Any]], array: Callable[[Any], Any]
) -> Iterator[tuple[str, Value]]:
    """The vectors of one kind, one after the other, and the layers they are of."""
    if members:
        yield f"trimtab.{name}.layers", _u32(number for number, _ in members)
        yield f"trimtab.{name}.{vectors}", np.concatenate([array(each).values for _, each in members])


def _gate(pack: Pack) -> Iterator[tuple[str, Value | None]]:
    if pack.gate is not None:
        yield "trimtab.gate.weight", pack.gate.weight.values
        yield "trimtab.gate.bias", pack.gate.bias
        yield "trimtab.gate.layer", pack.gate.layer
        yield "trimtab.gate.threshold", pack.gate.threshold
        yield "trimtab.gate.form", pack.gate.form
        yield "trimtab.gate.accuracy", pack.gate.accuracy


def _findings(pack: Pack) -> Iterator[tuple[str, Value]]:
    if pack.similarities:
        yield "trimtab.similarity.values", tuple(each.value for each in pack.similarities)
        yield "trimtab.similarity.layers", _u32(each.layer for each in pack.similarities)
        yield "trimtab.similarity.cosines", _f64(each.cosine for each in pack.similarities)
    if pack.top_tokens:
        yield "trimtab.top_tokens.layers", _u32(each.layer for each in pack.top_tokens)
        yield "trimtab.top_tokens.counts", _u32(len(each.tokens) for each in pack.top_tokens)
        yield "trimtab.top_tokens.texts", tuple(text for each in pack.top_tokens for text in each.tokens)


def _calibration(found: Calibration | None) -> Iterator[tuple[str, Value]]:
    if found is None:
        return
    points = found.points
    yield "trimtab.calibration.measure", found.quality
    yield "trimtab.calibration.questions", found.questions
    yield "trimtab.calibration.confidence", found.confidence
    yield "trimtab.calibration.levels", _f64(point.level for point in points)
    yield "trimtab.calibration.strengths", _f64(point.strength for point in points)
    yield "trimtab.calibration.shifts", _f64(point.shift for point in points)
    for name, scores in (("value", [p.value for p in points]), ("quality", [p.quality for p in points])):
        yield f"trimtab.calibration.{name}.scores", _f64(each.score for each in scores)
        yield f"trimtab.calibration.{name}.lows", _f64(each.low for each in scores)
        yield f"trimtab.calibration.{name}.highs", _f64(each.high for each in scores)


def _setting(name: str, setting: Setting | None) -> Iterator[tuple[str, Value | None]]:
    if setting is not None:
        yield f"trimtab.{name}.level", setting.level
        yield f"trimtab.{name}.strength", setting.strength


def _u32(values: Iterable[int]) -> Any:
    return np.array(list(values), dtype="<u4")


def _f64(values: Iterable[float]) -> Any:
    return np.array(list(values), dtype="<f8")
