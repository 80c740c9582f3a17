"""Reads a pack's file, from anybody: every count, size, number and text is checked before it is used."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from trimtab.engine.gguf_file import GgufFile, read_gguf
from trimtab.engine.program import Array
from trimtab.engine.text import clean_line
from trimtab.errors import ModelError
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
from trimtab.vectors.pack_errors import PackError
from trimtab.vectors.pack_fields import LIMITS, Fields, Raw, raw_fields
from trimtab.vectors.pack_files import read_bounded
from trimtab.vectors.pack_gguf import DIGEST
from trimtab.vectors.pack_writing import MAX_BYTES, SPEC_VERSION, UNKNOWN_ACCURACY

Upgrade = Callable[[dict[str, Raw]], dict[str, Raw]]
UPGRADES: Mapping[int, Upgrade] = {}
"""By spec version: what makes the fields of that version those of the next."""

_VERSION = "trimtab.spec_version"
_AGAIN = "Get the pack again, or build it anew."
_NAME = re.compile(r"direction\.([1-9][0-9]{0,3})")


def read_pack(path: Path) -> Pack:
    """The pack in a file."""
    return from_bytes(read_bounded(path, MAX_BYTES), path.name)


def from_bytes(
    data: bytes, name: str, *, current: int = SPEC_VERSION, upgrades: Mapping[int, Upgrade] = UPGRADES
) -> Pack:
    """The pack in a file's content; errors call the file by `name`."""
    shown = clean_line(name)
    try:
        with read_gguf(data, shown, LIMITS) as file:
            return _read(file, current, upgrades)
    except ModelError as error:
        raise PackError(error.what, _AGAIN) from error
    except PackError as error:
        raise PackError(f"{shown}: {error.what}", error.hint or _AGAIN) from error


def is_pack(file: GgufFile) -> bool:
    """Whether a GGUF file is one of Trimtab's, not a control vector from elsewhere."""
    return file.architecture == "controlvector" and _VERSION in file.metadata


def _read(file: GgufFile, current: int, upgrades: Mapping[int, Upgrade]) -> Pack:
    if file.architecture != "controlvector":
        raise PackError("It is no control vector but something else in GGUF format.", "Choose another file.")
    version = file.number(_VERSION)
    if version is None:
        raise PackError(
            "It is a control vector that another program made.",
            "Import it: trimtab pack import FILE --model MODEL",
        )
    if not isinstance(version, int) or isinstance(version, bool) or version < min([current, *upgrades]):
        raise PackError(f"There is no version {version} of packs.")
    if version > current:
        raise PackError(
            f"It was written by a newer Trimtab: it is a pack of version {version}, and {current} is the latest "
            "known here.",
            "Update Trimtab.",
        )
    raw = raw_fields(file)
    for older in range(version, current):
        raw = upgrades[older](raw)
    fields = Fields(raw)
    pack = _pack(fields)
    unknown = fields.left()
    if unknown:
        raise PackError(f"It says {unknown[0][:80]!r}, which version {current} of packs does not know.")
    _check_tensors(file, pack)
    return pack


def _pack(fields: Fields) -> Pack:
    fields.maybe_whole(_VERSION)
    fields.text(DIGEST)
    model = _model(fields)
    return Pack(
        value=fields.text("trimtab.value.id"),
        name=fields.text("general.name"),
        meaning=fields.text("trimtab.value.meaning"),
        method=fields.text("trimtab.method"),  # type: ignore[arg-type]
        model=model,
        recipe_hash=fields.text("trimtab.recipe_hash"),
        derived_at=_site(fields, "derived_at"),
        applied_at=_site(fields, "applied_at"),
        form=fields.text("trimtab.form"),  # type: ignore[arg-type]
        positions=fields.text("trimtab.positions"),  # type: ignore[arg-type]
        layers=_layers(fields, model.width),
        good=tuple(fields.wholes("trimtab.good_layers")),
        level=fields.maybe_number("trimtab.level"),
        gate=_gate(fields, model.width),
        anchors=AnchorWords(
            positive=fields.texts("trimtab.anchors.positive"),
            negative=fields.texts("trimtab.anchors.negative"),
        ),
        similarities=_similarities(fields),
        top_tokens=_top_tokens(fields),
        calibration=_calibration(fields),
        recommended=_setting(fields, "recommended"),
        maximum=_setting(fields, "maximum"),
        warnings=fields.texts("trimtab.warnings"),
        provenance=Provenance(
            tool=fields.text("trimtab.made.with"),
            date=fields.text("trimtab.made.date"),
            author=fields.text("general.author"),
            licence=fields.text("general.license"),
            source_format=fields.text("trimtab.source.format"),
            source_file=fields.text("trimtab.source.file"),
            source_hash=fields.text("trimtab.source.hash"),
        ),
    )


def _model(fields: Fields) -> BaseModel:
    model = BaseModel(
        name=fields.text("general.base_model.0.name"),
        architecture=fields.text("trimtab.model.architecture"),
        layers=fields.whole("trimtab.model.layers"),
        width=fields.whole("trimtab.model.width"),
        vocabulary=fields.whole("trimtab.model.vocabulary"),
        vocabulary_hash=fields.text("trimtab.model.vocabulary_hash"),
        weights_hash=fields.text("trimtab.model.weights_hash"),
        engine=fields.text("trimtab.model.engine"),
        quantisation=fields.text("trimtab.model.quantisation"),
    )
    if fields.text("trimtab.model.fingerprint") != model.fingerprint:
        raise PackError("Its model's fingerprint is not that of the model it describes.")
    return model


def _site(fields: Fields, name: str) -> Site:
    kind = fields.text(f"trimtab.{name}.kind")
    return Site(kind=kind, offset=fields.whole(f"trimtab.{name}.offset"))  # type: ignore[arg-type]


def _layers(fields: Fields, width: int) -> tuple[Layer, ...]:
    parts: dict[int, dict[str, object]] = {}

    def put(number: int, name: str, part: object) -> None:
        holder = parts.setdefault(number, {})
        if name in holder:
            raise PackError(f"It holds layer {number} twice.")
        holder[name] = part

    for number, probe in _probes(fields, width):
        put(number, "probe", probe)
    for number, mean in _means(fields, width):
        put(number, "mean", mean)
    for number, component in _components(fields, width):
        put(number, "component", component)
    for name in ("added", "offset"):
        numbers, vectors = _group(fields, name, "vectors", width)
        for number, vector in zip(numbers, vectors, strict=True):
            put(number, name, vector)
    if fields.has("trimtab.activation_norm.layers"):
        numbers = fields.wholes("trimtab.activation_norm.layers")
        norms = fields.numbers("trimtab.activation_norm.values", len(numbers))
        for number, norm in zip(numbers, norms, strict=True):
            put(number, "activation_norm", norm)
    return tuple(Layer(number=number, **parts[number]) for number in sorted(parts))  # type: ignore[arg-type]


def _group(fields: Fields, name: str, vectors: str, width: int) -> tuple[list[int], list[Array]]:
    if not fields.has(f"trimtab.{name}.layers"):
        return [], []
    numbers = fields.wholes(f"trimtab.{name}.layers")
    rows = fields.vectors(f"trimtab.{name}.{vectors}", len(numbers), width)
    return numbers, [Array(row) for row in rows]


def _probes(fields: Fields, width: int) -> list[tuple[int, ProbeFit]]:
    numbers, units = _group(fields, "probe", "directions", width)
    if not numbers:
        return []
    count = len(numbers)
    columns = [
        fields.numbers(f"trimtab.probe.{name}", count) for name in ("norms", "biases", "accuracies", "shifts")
    ]
    return [
        (
            number,
            ProbeFit(
                unit=unit,
                norm=norm,
                bias=bias,
                accuracy=None if accuracy == UNKNOWN_ACCURACY else accuracy,
                shift=shift,
            ),
        )
        for number, unit, norm, bias, accuracy, shift in zip(numbers, units, *columns, strict=True)
    ]


def _means(fields: Fields, width: int) -> list[tuple[int, Direction]]:
    numbers, units = _group(fields, "mean", "directions", width)
    lengths = fields.numbers("trimtab.mean.lengths", len(numbers)) if numbers else []
    return [
        (number, Direction(unit=unit, length=length))
        for number, unit, length in zip(numbers, units, lengths, strict=True)
    ]


def _components(fields: Fields, width: int) -> list[tuple[int, Component]]:
    numbers, units = _group(fields, "component", "directions", width)
    if not numbers:
        return []
    lengths = fields.numbers("trimtab.component.lengths", len(numbers))
    signs = fields.wholes("trimtab.component.signs", len(numbers))
    return [
        (number, Component(unit=unit, length=length, sign=sign))
        for number, unit, length, sign in zip(numbers, units, lengths, signs, strict=True)
    ]


def _gate(fields: Fields, width: int) -> PackGate | None:
    if not fields.has("trimtab.gate.weight"):
        return None
    return PackGate(
        weight=Array(fields.vectors("trimtab.gate.weight", 1, width)[0]),
        bias=fields.number("trimtab.gate.bias"),
        layer=fields.whole("trimtab.gate.layer"),
        threshold=fields.number("trimtab.gate.threshold"),
        form=fields.text("trimtab.gate.form"),  # type: ignore[arg-type]
        accuracy=fields.maybe_number("trimtab.gate.accuracy"),
    )


def _similarities(fields: Fields) -> tuple[Similarity, ...]:
    names = fields.texts("trimtab.similarity.values")
    if not names:
        return ()
    layers = fields.wholes("trimtab.similarity.layers", len(names))
    cosines = fields.numbers("trimtab.similarity.cosines", len(names))
    return tuple(
        Similarity(value=name, layer=layer, cosine=cosine)
        for name, layer, cosine in zip(names, layers, cosines, strict=True)
    )


def _top_tokens(fields: Fields) -> tuple[TopTokens, ...]:
    if not fields.has("trimtab.top_tokens.layers"):
        return ()
    layers = fields.wholes("trimtab.top_tokens.layers")
    counts = fields.wholes("trimtab.top_tokens.counts", len(layers))
    texts = fields.texts("trimtab.top_tokens.texts")
    if min(counts, default=0) < 0 or sum(counts) != len(texts):
        raise PackError(f"It holds {len(texts)} top tokens and counts others.")
    found, at = [], 0
    for layer, count in zip(layers, counts, strict=True):
        found.append(TopTokens(layer=layer, tokens=texts[at : at + count]))
        at += count
    return tuple(found)


def _calibration(fields: Fields) -> Calibration | None:
    if not fields.has("trimtab.calibration.measure"):
        return None
    measure = fields.text("trimtab.calibration.measure")
    questions = fields.whole("trimtab.calibration.questions")
    confidence = fields.number("trimtab.calibration.confidence")
    count = fields.length("trimtab.calibration.levels")
    levels, strengths, shifts, *scores = (
        fields.numbers(f"trimtab.calibration.{name}", count)
        for name in (
            "levels", "strengths", "shifts",
            "value.scores", "value.lows", "value.highs", "quality.scores", "quality.lows", "quality.highs",
        )
    )  # fmt: skip
    points = tuple(
        CalibrationPoint(
            level=levels[at],
            strength=strengths[at],
            shift=shifts[at],
            value=Interval(score=scores[0][at], low=scores[1][at], high=scores[2][at]),
            quality=Interval(score=scores[3][at], low=scores[4][at], high=scores[5][at]),
        )
        for at in range(count)
    )
    return Calibration(quality=measure, questions=questions, confidence=confidence, points=points)  # type: ignore[arg-type]


def _setting(fields: Fields, name: str) -> Setting | None:
    if not fields.has(f"trimtab.{name}.strength"):
        return None
    return Setting(
        level=fields.maybe_number(f"trimtab.{name}.level"), strength=fields.number(f"trimtab.{name}.strength")
    )


def _check_tensors(file: GgufFile, pack: Pack) -> None:
    """What llama.cpp would add has to be what the rest of the pack says."""
    expected = pack.directions()
    found: dict[int, str] = {}
    for name, tensor in file.tensors.items():
        match = _NAME.fullmatch(name)
        if match is None:
            raise PackError(f"The tensor {name[:80]!r} does not belong into a pack.")
        if tensor.kind != "F32" or tensor.shape != (pack.model.width,):
            raise PackError(f"The tensor {name} is {tensor.kind} of shape {tensor.shape}.")
        found[int(match[1])] = name
    if found.keys() != expected.keys():
        number = min(found.keys() ^ expected.keys())
        raise PackError(
            f"It {'holds' if number in found else 'lacks'} direction.{number} against what it says."
        )
    for number, name in found.items():
        if not np.array_equal(file.whole(name), expected[number]):
            raise PackError(f"Its direction.{number} is not the vector that it describes.")
