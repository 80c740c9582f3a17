"""Packs as text for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

import msgspec
import numpy as np

from trimtab.engine.text import clean
from trimtab.vectors.library import Entry
from trimtab.vectors.pack import BaseModel, Calibration, Interval, Pack, Setting
from trimtab.vectors.pack_plot import bars
from trimtab.vectors.pack_verify import Check

_WIDTH = 11
_SHOWN_LAYERS, _SHOWN_TOKENS = 8, 10


def inspect_text(pack: Pack) -> str:
    """All that a pack tells, but for its vectors."""
    return clean("\n".join(_inspected(pack)))


def inspect_json(pack: Pack) -> str:
    return _json(plain(pack))


def list_text(entries: Sequence[Entry]) -> str:
    """Packs below the models that they are for."""
    if not entries:
        return "There are no packs yet. Make one with trimtab build, or bring one with trimtab pack import."
    lines: list[str] = []
    longest = max(len(entry.name) for entry in entries)
    for fingerprint in dict.fromkeys(entry.fingerprint for entry in entries):
        own = [entry for entry in entries if entry.fingerprint == fingerprint]
        known = next((entry.pack.model for entry in own if entry.pack is not None), None)
        lines.append(_model(known) if known else f"a model of fingerprint {fingerprint[:8]}")
        lines += [f"  {entry.name:<{longest}}  {_row(entry)}" for entry in own]
    return clean("\n".join(lines))


def list_json(entries: Sequence[Entry]) -> str:
    return _json(
        [
            {
                "name": entry.name,
                "path": str(entry.path),
                "fingerprint": entry.fingerprint,
                "fault": entry.fault or None,
                **({} if entry.pack is None else _summary(entry.pack)),
            }
            for entry in entries
        ]
    )


def verify_text(name: str, checks: Sequence[Check]) -> str:
    words = {"right": "right", "wrong": "WRONG", "unknown": "?"}
    lines = [name, *(f"  {words[check.outcome]:<6} {check.what:<10} {check.detail}" for check in checks)]
    return clean("\n".join(lines))


def verify_json(found: dict[str, list[Check]]) -> str:
    good = all(check.outcome != "wrong" for checks in found.values() for check in checks)
    packs = {name: [msgspec.to_builtins(check) for check in checks] for name, checks in found.items()}
    return _json({"ok": good, "packs": packs})


def plain(pack: Pack) -> dict[str, object]:
    """The pack without its vectors, as JSON has it."""

    def number(value: object) -> object:
        return {"width": value.width, "digest": value.digest}  # type: ignore[attr-defined]

    told: dict[str, object] = msgspec.to_builtins(pack, enc_hook=number)
    told["model"] = {**msgspec.to_builtins(pack.model), "fingerprint": pack.model.fingerprint}
    return told


def _summary(pack: Pack) -> dict[str, object]:
    told = plain(pack)
    names = ("value", "method", "model", "good", "recommended", "maximum", "warnings", "provenance")
    return {"title": pack.name, **{name: told[name] for name in names}}


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _row(entry: Entry) -> str:
    pack = entry.pack
    if pack is None:
        return f"cannot be used: {entry.fault}"
    parts = [pack.name, f"layers {_ranges(pack.good)}" if pack.good else "no good layer"]
    if pack.method == "imported":
        parts.append(f"from {pack.provenance.source_format or 'elsewhere'}")
    if pack.recommended is not None:
        parts.append(f"recommended {_setting(pack.recommended)}")
    if pack.warnings:
        parts.append(f"{len(pack.warnings)} warning{'s' * (len(pack.warnings) > 1)}")
    return " · ".join(parts)


def _inspected(pack: Pack) -> Iterator[str]:
    yield f"{pack.name} ({pack.value})" if pack.name != pack.value else pack.name
    if pack.meaning:
        yield f"  {pack.meaning}"
    yield from (f"  {title:<{_WIDTH}} {text}" for title, text in _facts(pack) if text)
    yield ""
    yield from _plot(pack)
    if pack.calibration is not None:
        yield ""
        yield from _calibration(pack.calibration, pack.recommended, pack.maximum)
    tokens = _top_tokens(pack)
    if tokens:
        yield ""
        yield "What its direction says, by layer"
        yield from tokens
    if pack.warnings:
        yield ""
        yield from (f"⚠ {warning}" for warning in pack.warnings)


def _facts(pack: Pack) -> Iterator[tuple[str, str]]:
    made = pack.provenance
    yield "model", _model(pack.model)
    engine = " ".join(filter(None, (pack.model.engine, pack.model.quantisation)))
    yield "built on", engine if pack.method == "probe" else ""
    yield "method", _method(pack)
    yield "learned", f"from {pack.derived_at}"
    yield "added", f"to {pack.applied_at}"
    yield (
        "layers",
        f"{_ranges(pack.good)} of {_ranges([layer.number for layer in pack.layers])}" if pack.good else "",
    )
    with_tool = f"with {made.tool}" if made.tool else ""
    by_author = f"by {made.author}" if made.author else ""
    yield "made", " ".join(filter(None, (made.date, with_tool, by_author)))
    yield "licence", made.licence or "not told"
    yield "recipe", f"{pack.recipe_hash[:12]}…" if pack.recipe_hash else ""
    if made.source_format:
        yield "source", f"{made.source_file} ({made.source_format}, {made.source_hash[:12]}…)"
    yield "gate", _gate(pack)
    positive = [f"+ {word}" for word in pack.anchors.positive]
    yield "anchors", " ".join([*positive, *(f"− {word}" for word in pack.anchors.negative)])
    yield "similar", _similar(pack)
    for title, setting in (("recommended", pack.recommended), ("maximum", pack.maximum)):
        yield title, _setting(setting) if setting else ""


def _model(model: BaseModel) -> str:
    shape = f"{model.architecture}, {model.layers} layers, {model.width} wide"
    return f"{model.name or 'a model without a name'} ({shape}, {model.fingerprint[:8]})"


def _method(pack: Pack) -> str:
    if pack.method == "imported":
        return "vectors from elsewhere, added as they are"
    text = "the chat template" if pack.form == "chat" else "plain text"
    where = "the last token" if pack.positions == "last" else "the mean of the answer's tokens"
    return f"probes at {where}, on {text}"


def _gate(pack: Pack) -> str:
    if pack.gate is None:
        return "none"
    accuracy = "" if pack.gate.accuracy is None else f", right {pack.gate.accuracy:.0%} of the time"
    return f"layer {pack.gate.layer}, opens at {pack.gate.threshold:.2f}{accuracy}"


def _similar(pack: Pack) -> str:
    """The mean over the good layers, the most alike first."""
    values: dict[str, list[float]] = {}
    for each in pack.similarities:
        if each.layer in pack.good or not pack.good:
            values.setdefault(each.value, []).append(each.cosine)
    means = sorted(((fmean(cosines), value) for value, cosines in values.items()), reverse=True)
    return ", ".join(f"{value} {'−' if mean < 0 else '+'}{abs(mean):.2f}" for mean, value in means)


def _setting(setting: Setting) -> str:
    level = "" if setting.level is None else f"level {setting.level:g}"
    strength = f"strength {setting.strength:g}" if setting.level is None or setting.strength != 1 else ""
    return ", ".join(filter(None, (level, strength)))


def _plot(pack: Pack) -> Iterator[str]:
    known = pack.by_layer
    numbers = range(min(known), max(known) + 1)
    if pack.method == "imported":
        lengths = [_length(pack, number) if number in known else None for number in numbers]
        yield "Length of what is added at strength 1, by layer (● steered)"
        high = max([length for length in lengths if length is not None], default=1.0) or 1.0
        yield from bars(lengths, 0.0, high, pack.good, numbers.start)
        return
    probes = [known[number].probe if number in known else None for number in numbers]
    accuracies = [None if probe is None else probe.accuracy for probe in probes]
    if all(accuracy is None for accuracy in accuracies):
        yield "The probes' accuracies are not known."
        return
    yield "Accuracy on pairs held out, by layer (● steered)"
    yield from bars(accuracies, 0.5, 1.0, pack.good, numbers.start)


def _length(pack: Pack, number: int) -> float:
    layer = pack.by_layer[number]
    vector = np.zeros(pack.model.width)
    for array in (layer.added, layer.offset):
        if array is not None:
            vector = vector + array.values
    return float(np.linalg.norm(vector))


def _calibration(found: Calibration, recommended: Setting | None, maximum: Setting | None) -> Iterator[str]:
    questions = f"{found.questions} questions, " if found.questions else ""
    yield f"Calibration ({questions}{found.confidence:.0%} intervals)"
    yield f"  {'level':>6} {'strength':>8}   {'value':<20} {found.quality}"
    for point in found.points:
        notes = [
            word
            for word, setting in (("recommended", recommended), ("maximum", maximum))
            if setting is not None
            and setting.level in (None, point.level)
            and setting.strength == point.strength
        ]
        value, quality = _interval(point.value), _interval(point.quality)
        line = f"  {point.level:>6.2f} {point.strength:>8.2f}   {value:<20} {quality:<20} {', '.join(notes)}"
        yield line.rstrip()


def _interval(found: Interval) -> str:
    return f"{found.score:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _top_tokens(pack: Pack) -> list[str]:
    told = [each for each in pack.top_tokens if each.tokens]
    good = [each for each in told if each.layer in pack.good] or told
    step = max(1, -(-len(good) // _SHOWN_LAYERS))
    return [
        f"  {each.layer:>3}  {', '.join(token.strip() or repr(token) for token in each.tokens[:_SHOWN_TOKENS])}"
        for each in good[::step]
    ]


def _ranges(numbers: Sequence[int]) -> str:
    """Runs of numbers as from and to."""
    groups: list[list[int]] = []
    for number in numbers:
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    return ", ".join(f"{group[0]}–{group[-1]}" if len(group) > 1 else str(group[0]) for group in groups)
