"""What the methods that steer with packs have in common: which layers, which gate."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

from trimtab.engine.program import Gate, Scope
from trimtab.plugins.errors import LineError
from trimtab.plugins.line import Line
from trimtab.plugins.method import MethodOptions
from trimtab.vectors.pack import Layer, Pack

HALF = 0.5
"""What opens a classifier's gate where nobody has set it: a pack's threshold is of its own probe."""
_SPAN = re.compile(r"(\d{1,3})(?:-(\d{1,3}))?")


class PackOptions(MethodOptions, frozen=True, kw_only=True):
    """Where a pack steers."""

    layers: Annotated[
        str, Meta(description="good (the pack's own choice), best (one of them), all, or such as 4-9,12.")
    ] = "good"
    scope: Annotated[Scope, Meta(description="Steer while reading the prompt, while replying, or both.")] = (
        "all"
    )


def pack_of(line: Line) -> Pack:
    assert isinstance(line.source, Pack)
    return line.source


def gate_of(line: Line) -> Gate | None:
    """The gate as the line has it set. Only packs hold one; a classifier takes its place."""
    if line.classifier is not None and line.gate is not None:
        threshold = HALF if isinstance(line.gate, str) else line.gate
        return Gate(classifier=line.classifier, threshold=threshold)
    gate = line.source.gate if isinstance(line.source, Pack) else None
    if line.gate is None or (line.gate == "own" and gate is None):
        return None
    if gate is None:
        raise LineError(
            f"{line.title} has no gate to be set to {line.gate:g}.",
            "Build a pack with related and unrelated questions in its recipe, or set the gate to none.",
        )
    return gate.part() if isinstance(line.gate, str) else gate.part(line.gate)


def layers_of(line: Line, options: PackOptions) -> list[Layer]:
    """The pack's layers to steer at, in order."""
    pack = pack_of(line)
    known = pack.by_layer
    match options.layers:
        case "good" | "best" if not pack.good:
            raise LineError(
                f"The pack {pack.value} calls no layer good.", "Build it from more pairs, or name layers."
            )
        case "good":
            return [known[number] for number in pack.good]
        case "best":
            return [best_layer(pack)]
        case "all":
            return list(pack.layers)
    numbers = _numbers(line, options.layers)
    missing = [number for number in numbers if number not in known]
    if missing:
        raise LineError(
            f"The pack {pack.value} holds nothing for layer {missing[0]}.",
            f"Its layers are {min(known)} to {max(known)}.",
        )
    return [known[number] for number in numbers]


def best_layer(pack: Pack) -> Layer:
    """The good layer whose probe is right most often; of equals the last."""
    known = pack.by_layer
    return max((known[number] for number in pack.good), key=_accuracy)


def _accuracy(layer: Layer) -> tuple[float, int]:
    return (layer.probe.accuracy if layer.probe and layer.probe.accuracy else 0.0), layer.number


def site(pack: Pack, layer: Layer) -> int:
    """The block at whose output a pack's layer is applied."""
    number = layer.number + pack.applied_at.offset - (pack.applied_at.kind == "input")
    if number < 0:
        raise LineError(
            f"The pack {pack.value} is applied before block 0, where nothing can be steered.",
            "Leave that layer out with the option layers.",
        )
    return number


def _numbers(line: Line, text: str) -> Iterable[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = _SPAN.fullmatch(part.strip())
        if match is None:
            raise LineError(
                f"The layers of {line.title} are {text!r}.",
                "Give good, best, all, or numbers such as 4-9,12.",
            )
        low, high = int(match[1]), int(match[2] or match[1])
        found.update(range(low, high + 1))
    return sorted(found)
