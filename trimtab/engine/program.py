"""The steering program: the engine-neutral list of interventions that says how to steer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from trimtab.engine.files import AdapterFile, Classifier
from trimtab.engine.interventions import (
    MAX_ROWS_PER_LAYER,
    Adapter,
    Anchors,
    Gate,
    Intervention,
    Preface,
    Probe,
    Raise,
    Scope,
    Shift,
    Tune,
    Watch,
)
from trimtab.engine.parts import Array, Part, encode
from trimtab.errors import ProgramError

__all__ = [
    "EMPTY", "MAX_ROWS_PER_LAYER", "Adapter", "AdapterFile", "Anchors", "Array", "Classifier", "Gate", "Intervention",
    "Preface", "Probe", "Program", "Raise", "Scope", "Shift", "Tune", "Watch", "decode", "encode", "locate",
]  # fmt: skip


class Program(Part, frozen=True, kw_only=True):
    """All interventions of one reply, and the probes to watch."""

    interventions: tuple[Intervention, ...] = ()
    watches: tuple[Watch, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        widths = {array.width for array in self.arrays().values()}
        if len(widths) > 1:
            raise ProgramError(
                f"The program mixes vectors of widths {', '.join(map(str, sorted(widths)))}: "
                "they belong to different models."
            )
        names = [watch.name for watch in self.watches]
        if len(set(names)) != len(names):
            raise ProgramError("Two watched probes share a name.")
        sets: dict[str, Anchors] = {}
        for item in self.interventions:
            if isinstance(item, Tune) and sets.setdefault(item.anchors.name, item.anchors) != item.anchors:
                raise ProgramError(f"Two anchor sets share the name {item.anchors.name!r}.", "Rename one.")
        rows: dict[int, int] = {}
        for item in self.interventions:
            if isinstance(item, Raise):
                rows[item.layer] = rows.get(item.layer, 0) + len(item.probes)
        for layer, count in rows.items():
            if count > MAX_ROWS_PER_LAYER:
                raise ProgramError(
                    f"{count} probes are raised at layer {layer}; {MAX_ROWS_PER_LAYER} is the most."
                )
        measured = {
            item.scope for item in self.interventions if isinstance(item, Raise) and item.policy == "prompt"
        }
        if len(measured) > 1:
            raise ProgramError("Raises of the prompt policy are measured together: give them one scope.")

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of all that the program does; where an adapter lies is no part of it."""
        return hashlib.sha256(encode(self)).hexdigest()

    def anonymous(self) -> Program:
        if not self.files():
            return self
        items = tuple(item.anonymous() for item in self.interventions)
        return msgspec.structs.replace(self, interventions=items)

    def probes(self) -> Iterator[Probe]:
        for item in self.interventions:
            if item.gate is not None and item.gate.probe is not None:
                yield item.gate.probe
            if isinstance(item, Raise):
                yield from item.probes
        for watch in self.watches:
            yield watch.probe

    def arrays(self) -> dict[str, Array]:
        """Every array by its content hash."""
        found = {probe.weight.digest: probe.weight for probe in self.probes()}
        for item in self.interventions:
            if isinstance(item, Shift):
                found[item.vector.digest] = item.vector
        return found

    def adapters(self) -> tuple[Adapter, ...]:
        return tuple(item for item in self.interventions if isinstance(item, Adapter))

    def classifiers(self) -> tuple[Classifier, ...]:
        return tuple(gate.classifier for gate in self.gates() if gate.classifier is not None)

    def files(self) -> dict[str, AdapterFile]:
        """Every file that it needs, by its hash."""
        parts: tuple[Adapter | Classifier, ...] = (*self.adapters(), *self.classifiers())
        return {file.digest: file for part in parts for file in part.files}

    def gates(self) -> tuple[Gate, ...]:
        """The distinct gates, in order."""
        return tuple(dict.fromkeys(item.gate for item in self.interventions if item.gate is not None))

    def check(self, *, layers: int, width: int, vocabulary: int) -> None:
        """Refuses what does not fit a model of these dimensions."""
        for array in self.arrays().values():
            if array.width != width:
                raise ProgramError(
                    f"A steering vector is {array.width} wide, this model is {width} wide.",
                    "It was made for another model: build or import one for this model.",
                )
        sites = [(item.title, item.layer) for item in self.interventions if isinstance(item, Shift | Raise)]
        sites += [
            (f"{item.title}'s gate", item.gate.layer)
            for item in self.interventions
            if item.gate and item.gate.probe
        ]
        sites += [(f"Watch ({watch.name})", watch.layer) for watch in self.watches]
        for title, layer in sites:
            if layer >= layers:
                raise ProgramError(
                    f"{title} is at layer {layer}; this model's layers are 0 to {layers - 1}.",
                    "It was made for another model.",
                )
        for item in self.interventions:
            if isinstance(item, Tune):
                highest = max(item.anchors.positive + item.anchors.negative)
                if highest >= vocabulary:
                    raise ProgramError(
                        f"{item.title} names token {highest}; this model has {vocabulary} tokens.",
                        "Its anchors were tokenised for another model.",
                    )


EMPTY = Program()


def decode(data: bytes, resolve: Callable[[str], Array], paths: Mapping[str, str] | None = None) -> Program:
    """A program from its bytes; `resolve` finds arrays by hash, `paths` adapters' files."""

    def hook(kind: type, value: Any) -> Any:
        if kind is not Array or not isinstance(value, str):
            raise ProgramError(f"A program holds a {type(value).__name__} where an array's hash belongs.")
        return resolve(value)

    try:
        program = msgspec.msgpack.Decoder(Program, dec_hook=hook).decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProgramError(f"A program could not be read: {error}.") from error
    return locate(program, paths) if paths else program


def locate(program: Program, paths: Mapping[str, str]) -> Program:
    """The same program with its adapters' and classifiers' files at these paths, given by hash."""
    return place(program, lambda _: paths)


def place(program: Program, where: Callable[[Adapter | Classifier], Mapping[str, str]]) -> Program:
    """The same, where each adapter and classifier has paths of its own: two may share a file in two folders."""

    def placed(part: Adapter | Classifier) -> tuple[AdapterFile, ...]:
        paths = where(part)
        return tuple(
            msgspec.structs.replace(file, path=paths.get(file.digest, file.path)) for file in part.files
        )

    def moved(item: Intervention) -> Intervention:
        if isinstance(item, Adapter):
            item = msgspec.structs.replace(item, files=placed(item))
        if item.gate is None or item.gate.classifier is None:
            return item
        classifier = msgspec.structs.replace(item.gate.classifier, files=placed(item.gate.classifier))
        gate = msgspec.structs.replace(item.gate, classifier=classifier)
        return msgspec.structs.replace(item, gate=gate)

    return msgspec.structs.replace(program, interventions=tuple(map(moved, program.interventions)))
