"""Everything that may fill a slot, with what it stands for and whom it agrees with: what the reader looks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from trimtab.minnow import films, inflect, lexicon, trivia
from trimtab.minnow.grammar import (
    DRIVE_FORMS,
    OF_VALUE,
    PRONOUNS,
    SHORT_FORMS,
    SPEAKERS,
    TIMES,
    VERB_FORMS,
    WHO,
)
from trimtab.minnow.inflect import PERSONS, Person

Filling: TypeAlias = Any
"""What a slot holds: an Action, a Reason, a Name, a Topic, a value's id or plain text."""
Entry: TypeAlias = tuple[str, Filling, int]
"""A text, what it stands for, and the mask of the persons whom it agrees with."""

MASK: dict[Person, int] = {"I": 1, "you": 2, "he": 4, "she": 8}
ANYBODY = 15


def entries(slot: str) -> Iterator[Entry]:
    """Every text that may fill a slot."""
    if slot.startswith("v_"):
        yield from _bent(slot[2:], "present", None)
    elif slot in _SOURCES:
        yield from _SOURCES[slot](slot)
    else:
        source = films if slot in films.slots() else trivia
        for text, filling in source.entries(slot):
            yield text, filling, ANYBODY


def _actions(slot: str) -> Iterator[Entry]:
    for action in lexicon.actions().values():
        yield from _bent(action.text, VERB_FORMS[slot], action)


def _short(slot: str) -> Iterator[Entry]:
    yield from _actions(slot[:-1])
    for action in lexicon.actions().values():
        short = lexicon.shortened(action)
        if short:
            yield from _bent(short, SHORT_FORMS[slot], action)


def _spoken(slot: str) -> Iterator[Entry]:
    for action in lexicon.actions().values():
        yield inflect.phrase(action.text, "base", SPEAKERS[slot]), action, ANYBODY


def _clauses(_slot: str) -> Iterator[Entry]:
    for value in lexicon.values().values():
        for reason in value.reasons:
            yield reason.text, reason, ANYBODY


def _drives(slot: str) -> Iterator[Entry]:
    for value in lexicon.values().values():
        for drive in value.drives:
            if slot == "third_wants":
                yield inflect.phrase(drive.text, "present", "he"), drive, ANYBODY
            else:
                yield from _bent(drive.text, DRIVE_FORMS[slot], drive)


def _who(slot: str) -> Iterator[Entry]:
    for name in lexicon.names():
        yield name.text, name, MASK[name.person]
    for person, text in WHO[slot].items():
        yield text, person, MASK[person]


def _pronouns(slot: str) -> Iterator[Entry]:
    for person, text in PRONOUNS[slot].items():
        yield text, person, MASK[person]


def _topics(_slot: str) -> Iterator[Entry]:
    for topic in lexicon.topics():
        yield topic.about, topic, ANYBODY


def _times(slot: str) -> Iterator[Entry]:
    for text in TIMES[slot]:
        yield text, text, ANYBODY


def _values(slot: str) -> Iterator[Entry]:
    for value in lexicon.values().values():
        for text in getattr(value, OF_VALUE[slot]):
            yield text, value.id, ANYBODY


_SOURCES: dict[str, Callable[[str], Iterator[Entry]]] = {
    **dict.fromkeys(VERB_FORMS, _actions),
    **dict.fromkeys(SHORT_FORMS, _short),
    **dict.fromkeys(SPEAKERS, _spoken),
    **dict.fromkeys(DRIVE_FORMS, _drives),
    **dict.fromkeys(WHO, _who),
    **dict.fromkeys(PRONOUNS, _pronouns),
    **dict.fromkeys(TIMES, _times),
    "why": _clauses,
    "about": _topics,
    **dict.fromkeys(OF_VALUE, _values),
}


def _bent(text: str, form: inflect.Form, filling: Filling) -> Iterator[tuple[str, Filling, int]]:
    """A phrase in one form, once for each way that it is written, with the persons who share that way."""
    masks: dict[str, int] = {}
    for person in PERSONS:
        bent = inflect.phrase(text, form, person)
        masks[bent] = masks.get(bent, 0) | MASK[person]
    for bent, mask in masks.items():
        yield bent, filling, mask
