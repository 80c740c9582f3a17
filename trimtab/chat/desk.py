"""The desk: every dial as the user has set it, as one value that is stored with each reply."""

from __future__ import annotations

import math
from typing import Literal

import msgspec
from msgspec.structs import force_setattr

from trimtab.chat import cleaning
from trimtab.errors import TrimtabError

MAX_LEVEL = 10.0
"""Further than the slider goes, for those who type numbers."""
MAX_STRENGTH = 1000.0


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A piece of what is stored: checked when made, refused with fields it does not know."""


class Dial(Part, frozen=True, kw_only=True):
    """One value's switch and its three sliders."""

    value: str
    """The value's id, as in its recipe."""
    key: str = ""
    """What toggles it on the desk."""
    on: bool = False
    level: float = 0.0
    strength: float = 1.0
    gate: float | None = None
    """The threshold that opens it; None takes the pack's own, 0 is always open."""
    method: str = ""
    """What steers; empty for ConVA, or for what an imported vector needs."""
    options: tuple[str, ...] = ()
    """The method's further settings, as `layers=4-9`."""

    def __post_init__(self) -> None:
        _named(self, "value", "A dial")
        force_setattr(self, "method", cleaning.line(self.method))
        _settings(self)
        force_setattr(self, "key", cleaning.line(self.key, 16))
        _between(f"The level of {self.value}", self.level, -MAX_LEVEL, MAX_LEVEL)
        _between(f"The strength of {self.value}", self.strength, 0.0, MAX_STRENGTH)
        if self.gate is not None:
            _between(f"The gate of {self.value}", self.gate, 0.0, 1.0)


class AnchorDial(Part, frozen=True, kw_only=True):
    """The anchors box: words as typed, plus and minus signs included."""

    text: str = ""
    on: bool = True
    strength: float = 4.0
    """How far the value distinction is moved."""
    options: tuple[str, ...] = ()
    """Further settings of anchor-word tuning, as `hold=true`."""

    def __post_init__(self) -> None:
        force_setattr(self, "text", cleaning.text(self.text))
        _settings(self)
        _between("The strength of the anchors", self.strength, 0.0, MAX_STRENGTH)


class FileDial(Part, frozen=True, kw_only=True):
    """A line for an adapter or an imported vector: known by its content, found by its path."""

    name: str
    digest: str = ""
    path: str = ""
    on: bool = True
    scale: float = 1.0

    def __post_init__(self) -> None:
        _named(self, "name", "An adapter or vector")
        force_setattr(self, "digest", cleaning.line(self.digest))
        force_setattr(self, "path", cleaning.line(self.path, 4096))
        _between(f"The scale of {self.name}", self.scale, -MAX_STRENGTH, MAX_STRENGTH)


class PrefaceDial(Part, frozen=True, kw_only=True):
    """Words that steer by being read: a persona, or whatever the model is to be told first."""

    text: str = ""
    on: bool = True
    place: Literal["system", "user"] = "system"

    def __post_init__(self) -> None:
        force_setattr(self, "text", cleaning.text(self.text))


class Desk(Part, frozen=True, kw_only=True):
    """All dials of a conversation."""

    dials: tuple[Dial, ...] = ()
    anchors: AnchorDial = msgspec.field(default_factory=AnchorDial)
    preface: PrefaceDial = msgspec.field(default_factory=PrefaceDial)
    adapters: tuple[FileDial, ...] = ()
    vectors: tuple[FileDial, ...] = ()
    classifier: FileDial | None = None
    """A text classifier that the gates of all dials ask, each for its own value, instead of the packs' probes."""
    silenced: bool = False
    """Nothing steers while this is set, and every dial keeps its place."""

    def __post_init__(self) -> None:
        names = [dial.value for dial in self.dials]
        if len(set(names)) != len(names):
            raise TrimtabError("A desk has two dials for one value.", "Keep one of them.")

    def dial(self, value: str) -> Dial | None:
        return next((dial for dial in self.dials if dial.value == value), None)

    @property
    def steers(self) -> bool:
        """Whether anything on it is set to act."""
        return bool(summary(self))


def summary(desk: Desk) -> str:
    """What the desk does, in one line; empty where it does nothing."""
    if desk.silenced:
        return ""
    parts = [f"{dial.value} {signed(dial.level)}" for dial in desk.dials if _acts(dial)]
    if desk.anchors.on and desk.anchors.text.strip() and desk.anchors.strength:
        parts.append(f"anchors {cleaning.line(desk.anchors.text, 60)}")
    if desk.preface.on and desk.preface.text.strip():
        parts.append(f"preface {cleaning.line(desk.preface.text, 60)}")
    parts += [f"{file.name} ×{file.scale:g}" for file in (*desk.adapters, *desk.vectors) if _works(file)]
    return ", ".join(parts)


def signed(level: float) -> str:
    """A level as it stands on the desk, with its sign."""
    return f"{'+' if level > 0 else '−' if level < 0 else ''}{abs(level):.1f}"


def _acts(dial: Dial) -> bool:
    return dial.on and bool(dial.level) and bool(dial.strength)


def _works(file: FileDial) -> bool:
    return file.on and bool(file.scale)


def _named(part: Dial | FileDial, field: str, what: str) -> None:
    force_setattr(part, field, cleaning.line(getattr(part, field)))
    if not getattr(part, field):
        raise TrimtabError(f"{what} needs a name.")


def _settings(part: Dial | AnchorDial) -> None:
    options = tuple(cleaning.line(option) for option in part.options)
    for option in options:
        name, sign, _ = option.partition("=")
        if not sign or not name.strip():
            raise TrimtabError(f"The setting {option!r} has no value.", "Write it so: layers=4-9")
    force_setattr(part, "options", options)


def _between(what: str, number: float, low: float, high: float) -> None:
    if not (math.isfinite(number) and low <= number <= high):
        raise TrimtabError(f"{what} lies between {low:g} and {high:g}, not at {number}.")
