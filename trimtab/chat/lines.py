"""What a desk says, in the lines that methods take: the only place where the one becomes the other."""

from __future__ import annotations

from collections.abc import Iterator

from trimtab.chat.desk import Desk, Dial
from trimtab.chat.sources import Sources
from trimtab.engine.program import Classifier
from trimtab.plugins.anchor_words import Sides, parse_anchors
from trimtab.plugins.line import GateLevel, Line, Text
from trimtab.vectors import anchor_file


def lines_of(desk: Desk, sources: Sources) -> list[Line]:
    """A line for each dial that acts, and for each that has a pack whose probe can be watched."""
    return [*_dials(desk, sources), *_others(desk, sources)]


def _dials(desk: Desk, sources: Sources) -> Iterator[Line]:
    for dial in desk.dials:
        acts = not desk.silenced and dial.on and bool(dial.level) and bool(dial.strength)
        source = sources.of(dial) if acts else sources.pack(dial.value)
        if source is not None:
            yield Line(
                source=source,
                method=dial.method,
                level=dial.level,
                strength=dial.strength,
                gate=_gate(dial),
                classifier=_classifier(desk, dial, sources) if acts else None,
                on=dial.on,
                label=dial.value,
                options=_options(dial.options),
            )


def _others(desk: Desk, sources: Sources) -> Iterator[Line]:
    if desk.silenced:
        return
    anchors = desk.anchors
    if anchors.on and anchors.text.strip() and anchors.strength:
        words = anchor_words(anchors.text)
        yield Line(source=words, level=anchors.strength, label="anchors", options=_options(anchors.options))
    for file in desk.adapters:
        if file.on and file.scale:
            yield Line(source=sources.adapter(file), level=file.scale, label=file.name)
    for file in desk.vectors:
        if file.on and file.scale:
            yield Line(source=sources.vector(file), method="vector", level=file.scale, label=file.name)
    if desk.preface.on and desk.preface.text.strip():
        yield Line(source=Text(desk.preface.text), label="preface", options={"place": desk.preface.place})


def anchor_words(text: str) -> Sides:
    """The words as typed, or those of the anchor pack that `@name` or `@file.toml` names."""
    if not text.strip().startswith("@"):
        return parse_anchors(text)
    pack = anchor_file.find(text.strip()[1:].strip())
    return Sides.of([each.word for each in pack.positive], [each.word for each in pack.negative])


def _gate(dial: Dial) -> GateLevel:
    if dial.gate is None:
        return "own"
    # A gate that is always open need not be asked, and a pack need not have one.
    return dial.gate or None


def _classifier(desk: Desk, dial: Dial, sources: Sources) -> Classifier | None:
    file = desk.classifier
    return sources.classifier(file, dial.value) if file is not None and file.on else None


def _options(options: tuple[str, ...]) -> dict[str, object]:
    return {name.strip(): value.strip() for name, _, value in (option.partition("=") for option in options)}
