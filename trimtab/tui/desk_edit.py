"""Changes of a desk, each giving a new one, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from trimtab.chat.desk import Desk, Dial
from trimtab.tui.values import DEFAULT_LEVEL, ValueFacts

LONGEST = 200
"""Changes that can be undone."""


def complete(desk: Desk, values: Sequence[ValueFacts]) -> Desk:
    """With a dial for every value that is built, so that its probe is watched; the others stay."""
    known = {dial.value for dial in desk.dials}
    missing = tuple(
        Dial(value=each.id, key=each.key) for each in values if each.built and each.id not in known
    )
    return msgspec.structs.replace(desk, dials=(*desk.dials, *missing)) if missing else desk


def dial_of(desk: Desk, value: str) -> Dial:
    return desk.dial(value) or Dial(value=value)


def with_dial(desk: Desk, value: str, **changes: Any) -> Desk:
    """The desk with one dial changed."""
    new = msgspec.structs.replace(dial_of(desk, value), **changes)
    if desk.dial(value) is None:
        return msgspec.structs.replace(desk, dials=(*desk.dials, new))
    dials = tuple(new if dial.value == value else dial for dial in desk.dials)
    return msgspec.structs.replace(desk, dials=dials)


def at_level(desk: Desk, value: str, level: float) -> Desk:
    """A dial that is moved is on."""
    return with_dial(desk, value, level=level, on=dial_of(desk, value).on or bool(level))


def toggled(desk: Desk, facts: ValueFacts) -> Desk:
    """On or off; one that stood at nothing is turned to where it is known to do good."""
    dial = dial_of(desk, facts.id)
    if dial.on and dial.level:
        return with_dial(desk, facts.id, on=False)
    level = dial.level or facts.recommended or DEFAULT_LEVEL
    return with_dial(desk, facts.id, on=True, level=level)


def silenced(desk: Desk) -> Desk:
    return msgspec.structs.replace(desk, silenced=not desk.silenced)


def with_anchors(desk: Desk, text: str) -> Desk:
    anchors = msgspec.structs.replace(desk.anchors, text=text, on=bool(text.strip()))
    return msgspec.structs.replace(desk, anchors=anchors)


class History:
    """The desks before the present one, and those that were undone."""

    def __init__(self, desk: Desk) -> None:
        self._done: list[Desk] = [desk]
        self._undone: list[Desk] = []

    def add(self, desk: Desk) -> None:
        if desk != self._done[-1]:
            self._done = [*self._done[-LONGEST:], desk]
            self._undone.clear()

    def undo(self) -> Desk | None:
        if len(self._done) < 2:
            return None
        self._undone.append(self._done.pop())
        return self._done[-1]

    def redo(self) -> Desk | None:
        if not self._undone:
            return None
        self._done.append(self._undone.pop())
        return self._done[-1]
