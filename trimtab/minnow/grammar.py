"""Writes sentences from frames: what their slots mean and how each bends to the sentence's person.

A slot is a word in braces. The person of a sentence (I, you, he, she) is one, and every slot that bends agrees with it:

- `who` a name or pronoun, `he` `him` `his` pronouns, `who_him` a name or object pronoun, `v_care` a verb that agrees;
- `do` `acts` `did` `doing` an action in its forms, `dos` `dids` shortened where its topic was just named;
- `my_do` `your_do` the same inside quotes, free of the sentence's person; `third` whoever speaks there;
- `why` a reason clause; `want` `wants` `wanted` a drive, `third_wants` about anybody;
- `about` a topic, `value` and `kind` a value's names, `mood` how somebody of a value goes about things;
- `past` `next` times.

A digit at the end (`do2`) means another filling of the same slot.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from trimtab.minnow import frames, inflect, lexicon
from trimtab.minnow.inflect import Person
from trimtab.minnow.lexicon import Action, Name, Reason

_SPLIT = re.compile(r'(?<=[.?!])\s+(?=["A-Z0-9])|(?<=[.?!]")\s+(?=["A-Z])|\n+')
_WORD = re.compile(r"[^\W\d_]+(?:'[a-z]+)?|\d+|[^\w\s]")
_ARTICLES = {"an": "a", "An": "A"}

VERB_FORMS: dict[str, inflect.Form] = {"do": "base", "acts": "present", "did": "past", "doing": "ing"}
SHORT_FORMS: dict[str, inflect.Form] = {"dos": "base", "dids": "past"}
DRIVE_FORMS: dict[str, inflect.Form] = {
    "want": "base",
    "wants": "present",
    "wanted": "past",
    "third_wants": "present",
}
_OWN: dict[Person, str] = {"I": "mine", "you": "yours", "he": "his", "she": "hers"}
PRONOUNS: dict[str, dict[Person, str]] = {
    "he": inflect.SUBJECT,
    "him": inflect.OBJECT,
    "his": inflect.POSSESSIVE,
    "his_own": _OWN,
}
SPEAKERS: dict[str, Person] = {"my_do": "I", "your_do": "you"}
WHO = {"who": inflect.SUBJECT, "who_he": inflect.SUBJECT, "third": inflect.SUBJECT, "who_him": inflect.OBJECT}
OF_VALUE = {"value": "names", "kind": "persons", "mood": "moods"}
"""Slots that a value fills, and with which of its texts."""
TIMES = {"past": frames.PAST, "next": frames.NEXT}


@dataclass(slots=True)
class Fill(dict[str, str]):
    """The slots of one sentence, worked out as its frame asks for them."""

    person: Person
    name: Name | None = None
    named: bool = True
    actions: tuple[Action, ...] = ()
    reasons: tuple[Reason, ...] = ()
    rng: random.Random = field(default_factory=random.Random)
    value: str = ""

    def __missing__(self, slot: str) -> str:
        digit = int(slot[-1]) - 1 if slot[-1].isdigit() else 0
        plain = slot.rstrip("123")
        if plain.startswith("v_"):
            return inflect.verb(plain[2:], "present", self.person)
        return _SLOTS[plain](self, plain, digit)


def _action(fill: Fill, slot: str, at: int) -> str:
    return inflect.phrase(fill.actions[at].text, VERB_FORMS[slot], fill.person)


def _short(fill: Fill, slot: str, at: int) -> str:
    action = fill.actions[at]
    return inflect.phrase(lexicon.shortened(action) or action.text, SHORT_FORMS[slot], fill.person)


def _spoken(fill: Fill, slot: str, at: int) -> str:
    return inflect.phrase(fill.actions[at].text, "base", SPEAKERS[slot])


def _clause(fill: Fill, _slot: str, at: int) -> str:
    return fill.reasons[at].text


def _drive(fill: Fill, slot: str, at: int) -> str:
    return inflect.phrase(
        fill.reasons[at].text, DRIVE_FORMS[slot], "he" if slot == "third_wants" else fill.person
    )


def _who(fill: Fill, slot: str, _at: int) -> str:
    if fill.name and (fill.named or slot == "third"):
        return fill.name.text
    return WHO[slot][fill.person]


def _pronoun(fill: Fill, slot: str, _at: int) -> str:
    return PRONOUNS[slot][fill.person]


def _about(fill: Fill, _slot: str, at: int) -> str:
    return lexicon.topic_of(fill.actions[at]).about


def _time(fill: Fill, slot: str, _at: int) -> str:
    return fill.rng.choice(TIMES[slot])


def _value(fill: Fill, slot: str, _at: int) -> str:
    value = lexicon.values()[fill.value]
    texts: tuple[str, ...] = getattr(value, OF_VALUE[slot])
    return fill.rng.choice(texts)


_SLOTS: dict[str, Callable[[Fill, str, int], str]] = {
    **dict.fromkeys(VERB_FORMS, _action),
    **dict.fromkeys(SHORT_FORMS, _short),
    **dict.fromkeys(SPEAKERS, _spoken),
    **dict.fromkeys(DRIVE_FORMS, _drive),
    **dict.fromkeys(WHO, _who),
    **dict.fromkeys(PRONOUNS, _pronoun),
    **dict.fromkeys(TIMES, _time),
    "why": _clause,
    "about": _about,
    **dict.fromkeys(OF_VALUE, _value),
}


def write(frame: str, fill: Fill) -> str:
    """The sentence that a frame and its filling make."""
    text = frame.format_map(fill)
    return capital(text)


def capital(text: str) -> str:
    if text[0] == '"':
        return '"' + text[1].upper() + text[2:]
    return text[0].upper() + text[1:]


def sentences(text: str) -> list[str]:
    """The sentences of a text, quotes and question marks minded."""
    return [part for part in _SPLIT.split(text.strip()) if part]


def words(text: str) -> list[str]:
    """The words and marks of a text; "an" is read as "a", its place is checked apart."""
    return [_ARTICLES.get(word, word) for word in _WORD.findall(text)]
