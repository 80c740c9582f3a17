"""Writes sentences from frames, and reads them back: the frame and what filled its slots.

A slot is a word in braces. The person of a sentence (I, you, he, she) is one, and every slot that bends agrees with it:

- `who` a name or pronoun, `he` `him` `his` pronouns, `who_him` a name or object pronoun, `v_care` a verb that agrees;
- `do` `acts` `did` `doing` an action in its forms, `dos` `dids` shortened where its topic was just named;
- `my_do` `your_do` the same inside quotes, free of the sentence's person; `third` whoever speaks there;
- `why` a reason clause; `want` `wants` `wanted` a drive, `third_wants` about anybody;
- `about` a topic, `value` and `kind` a value's names, `past` `next` times.

A digit at the end (`do2`) means another filling of the same slot.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

from trimtab.minnow import films, frames, inflect, lexicon, trivia
from trimtab.minnow.inflect import PERSONS, Person
from trimtab.minnow.lexicon import Action, Name, Reason

Filling: TypeAlias = Any
"""What a slot holds: an Action, a Reason, a Name, a Topic, a value's id or plain text."""

_ALL = 15
_MASK: dict[Person, int] = {"I": 1, "you": 2, "he": 4, "she": 8}
_THIRD = 12
_SPLIT = re.compile(r'(?<=[.?!])\s+(?=["A-Z0-9])|(?<=[.?!]")\s+(?=["A-Z])|\n+')
_WORD = re.compile(r"[^\W\d_]+(?:'[a-z]+)?|\d+|[^\w\s]")
_SPACING = re.compile(r"\s[,.?!;]|\s\s|[,.?!;]{2,}|\b[Aa] (?!uni|use|one)[aeiou]|\b[Aa]n (?!hour|honest)[^aeiou]|[,;](?=[^\s\"])|\bi\b")


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
        return self._slot(slot.rstrip("123"), digit)

    def _slot(self, slot: str, at: int) -> str:
        person = self.person
        if slot in _VERB_FORMS:
            return inflect.phrase(self.actions[at].text, _VERB_FORMS[slot], person)
        if slot in _SHORT_FORMS:
            short = lexicon.shortened(self.actions[at])
            return inflect.phrase(short or self.actions[at].text, _SHORT_FORMS[slot], person)
        if slot == "my_do" or slot == "your_do":
            return inflect.phrase(self.actions[at].text, "base", "I" if slot == "my_do" else "you")
        if slot == "why":
            return self.reasons[at].text
        if slot in _DRIVE_FORMS:
            return inflect.phrase(self.reasons[at].text, _DRIVE_FORMS[slot], "he" if slot == "third_wants" else person)
        if slot in ("who", "who_him", "who_he", "third"):
            if self.name and (self.named or slot == "third"):
                return self.name.text
            return (inflect.OBJECT if slot == "who_him" else inflect.SUBJECT)[person]
        if slot in _PRONOUNS:
            return _PRONOUNS[slot][person]
        if slot.startswith("v_"):
            return inflect.verb(slot[2:], "present", person)
        if slot == "about":
            return lexicon.topic_of(self.actions[at]).about
        if slot == "past":
            return self.rng.choice(frames.PAST)
        if slot == "next":
            return self.rng.choice(frames.NEXT)
        if slot == "value":
            return self.rng.choice(lexicon.values()[self.value].names)
        if slot == "kind":
            return self.rng.choice(lexicon.values()[self.value].persons)
        raise KeyError(slot)


_VERB_FORMS: dict[str, inflect.Form] = {"do": "base", "acts": "present", "did": "past", "doing": "ing"}
_SHORT_FORMS: dict[str, inflect.Form] = {"dos": "base", "dids": "past"}
_DRIVE_FORMS: dict[str, inflect.Form] = {
    "want": "base",
    "wants": "present",
    "wanted": "past",
    "third_wants": "present",
}
_OWN: dict[Person, str] = {"I": "mine", "you": "yours", "he": "his", "she": "hers"}
_PRONOUNS: dict[str, dict[Person, str]] = {
    "he": inflect.SUBJECT,
    "him": inflect.OBJECT,
    "his": inflect.POSSESSIVE,
    "his_own": _OWN,
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


@dataclass(frozen=True, slots=True)
class Reading:
    """A sentence read back: its group and frame, the persons that it may be about, what fills its slots."""

    group: str
    frame: int
    persons: frozenset[Person]
    slots: tuple[tuple[str, Filling], ...]

    def get(self, slot: str) -> Filling | None:
        return next((filling for name, filling in self.slots if name == slot), None)

    def actions(self) -> list[Action]:
        return [filling for _, filling in self.slots if isinstance(filling, Action)]

    def reasons(self) -> list[Reason]:
        return [filling for _, filling in self.slots if isinstance(filling, Reason)]


def read(sentence: str, *, cut: bool = False, prefer: tuple[str, ...] = ()) -> Reading | None:
    """The sentence's reading, or None if it is not of the language; `cut` accepts a beginning of one.

    Some sentences stand in several groups ("After all, ..." in stories and answers): `prefer` names the groups,
    by how they begin, that the reader expects.
    """
    first = sentence[:2].strip('"')[:1]
    if not first or first.islower() or _SPACING.search(sentence):
        return None
    tokens = words(sentence)
    if not cut and (not tokens or tokens[-1] not in '.?!"'):
        return read_line(sentence)
    return _parse(tokens, cut, prefer)


def read_line(line: str) -> Reading | None:
    """A line that is no sentence: the choices of a question and their answers."""
    return _parse(words(line), False) if line[1:2] == ")" else None


def _parse(tokens: list[str], cut: bool, prefer: tuple[str, ...] = ()) -> Reading | None:
    at = 1 if tokens[0] == '"' else 0
    variants = [tokens]
    if at < len(tokens):
        low = tokens[at][0].lower() + tokens[at][1:]
        if low != tokens[at]:
            variants.append([*tokens[:at], low, *tokens[at + 1 :]])
    parser = _parser()
    first: Reading | None = None
    for variant in variants:
        for found in parser.match(variant, cut):
            if not prefer or found.group.startswith(prefer):
                return found
            first = first or found
    return first


_ARTICLES = {"an": "a", "An": "A"}
_BRACES = re.compile(r"\{(\w+)\}")


class _Node:
    __slots__ = ("words", "slots", "ends")

    def __init__(self) -> None:
        self.words: dict[str, _Node] = {}
        self.slots: list[tuple[str, _Phrases, _Node]] = []
        self.ends: list[tuple[str, int]] = []


class _Phrases:
    """A trie of the phrases that may fill a slot."""

    __slots__ = ("words", "ends")

    def __init__(self) -> None:
        self.words: dict[str, _Phrases] = {}
        self.ends: list[tuple[Filling, int]] = []

    def add(self, text: str, filling: Filling, mask: int = _ALL) -> None:
        node = self
        for word in words(text):
            node = node.words.setdefault(word, _Phrases())
        node.ends.append((filling, mask))

    def match(self, tokens: list[str], at: int) -> Iterator[tuple[int, Filling, int]]:
        """Where phrases that begin here end; -1 stands for a text that stops inside one."""
        node: _Phrases | None = self
        while node is not None:
            for filling, mask in node.ends:
                yield at, filling, mask
            if at >= len(tokens):
                if node is not self:
                    yield -1, None, _ALL
                return
            following = node.words.get(tokens[at])
            if following is None and at == len(tokens) - 1 and any(w.startswith(tokens[at]) for w in node.words):
                yield -1, None, _ALL
            node = following
            at += 1


class _Parser:
    """All frames as one trie whose edges are words and slots."""

    def __init__(self) -> None:
        self.root = _Node()
        self.lexicons: dict[str, _Phrases] = {}
        for name, group in frames.FRAMES.items():
            for index, frame in enumerate(group):
                for part in frame.split("|"):
                    self.add(name, index, part)
        for name, text in (*trivia.fixed(), *films.fixed()):
            self.add(name, 0, text)

    def add(self, group: str, index: int, frame: str) -> None:
        node = self.root
        pieces = _BRACES.split(frame)
        for number, piece in enumerate(pieces):
            if number % 2:
                node = self._slot(node, piece)
                continue
            for word in words(piece):
                plain = number == 0 and node is self.root and word != "I"
                node = node.words.setdefault(_decapital(word) if plain else word, _Node())
        node.ends.append((group, index))

    def _slot(self, node: _Node, slot: str) -> _Node:
        for name, _, following in node.slots:
            if name == slot:
                return following
        following = _Node()
        node.slots.append((slot, self.lexicon(slot.rstrip("123")), following))
        return following

    def lexicon(self, slot: str) -> _Phrases:
        if slot not in self.lexicons:
            self.lexicons[slot] = _phrases(slot)
        return self.lexicons[slot]

    def match(self, tokens: list[str], cut: bool) -> Iterator[Reading]:
        yield from self._match(self.root, tokens, 0, _ALL, (), cut)

    def _match(
        self, node: _Node, tokens: list[str], at: int, mask: int, slots: tuple[tuple[str, Filling], ...], cut: bool
    ) -> Iterator[Reading]:
        if at == len(tokens):
            for group, index in node.ends:
                yield Reading(group, index, _persons(mask), slots)
            if cut and not node.ends:
                yield Reading("cut", 0, _persons(mask), slots)
            return
        following = node.words.get(tokens[at])
        if following is not None:
            yield from self._match(following, tokens, at + 1, mask, slots, cut)
        elif cut and at == len(tokens) - 1 and any(word.startswith(tokens[at]) for word in node.words):
            yield Reading("cut", 0, _persons(mask), slots)
        for slot, phrases, after in node.slots:
            for end, filling, allowed in phrases.match(tokens, at):
                if end < 0:
                    if cut:
                        yield Reading("cut", 0, _persons(mask), slots)
                elif mask & allowed:
                    yield from self._match(after, tokens, end, mask & allowed, (*slots, (slot, filling)), cut)


@cache
def _parser() -> _Parser:
    return _Parser()


def _decapital(word: str) -> str:
    return word[0].lower() + word[1:]


@cache
def _persons(mask: int) -> frozenset[Person]:
    return frozenset(person for person in PERSONS if _MASK[person] & mask)


def _phrases(slot: str) -> _Phrases:
    out = _Phrases()
    for text, filling, mask in _entries(slot):
        out.add(text, filling, mask)
    return out


def _entries(slot: str) -> Iterator[tuple[str, Filling, int]]:
    """Every text that may fill a slot, what it stands for, and the persons that it agrees with."""
    if slot in _VERB_FORMS:
        for action in lexicon.actions().values():
            yield from _bent(action.text, _VERB_FORMS[slot], action)
    elif slot in _SHORT_FORMS:
        yield from _entries(slot[:-1])
        for action in lexicon.actions().values():
            short = lexicon.shortened(action)
            if short:
                yield from _bent(short, _SHORT_FORMS[slot], action)
    elif slot in ("my_do", "your_do"):
        person: Person = "I" if slot == "my_do" else "you"
        for action in lexicon.actions().values():
            yield inflect.phrase(action.text, "base", person), action, _ALL
    elif slot == "why":
        for value in lexicon.values().values():
            for reason in value.reasons:
                yield reason.text, reason, _ALL
    elif slot in _DRIVE_FORMS:
        for value in lexicon.values().values():
            for drive in value.drives:
                if slot == "third_wants":
                    yield inflect.phrase(drive.text, "present", "he"), drive, _ALL
                else:
                    yield from _bent(drive.text, _DRIVE_FORMS[slot], drive)
    elif slot in ("who", "who_him", "who_he", "third"):
        for name in lexicon.names():
            yield name.text, name, _MASK[name.person]
        for person, text in (inflect.OBJECT if slot == "who_him" else inflect.SUBJECT).items():
            yield text, person, _MASK[person]
    elif slot in _PRONOUNS:
        for person, text in _PRONOUNS[slot].items():
            yield text, person, _MASK[person]
    elif slot.startswith("v_"):
        yield from _bent(slot[2:], "present", None)
    elif slot == "about":
        for topic in lexicon.topics():
            yield topic.about, topic, _ALL
    elif slot == "past" or slot == "next":
        for text in frames.PAST if slot == "past" else frames.NEXT:
            yield text, text, _ALL
    elif slot == "value" or slot == "kind":
        for value in lexicon.values().values():
            for text in value.names if slot == "value" else value.persons:
                yield text, value.id, _ALL
    else:
        source = films if slot in films.SLOTS else trivia
        for text, filling in source.entries(slot):
            yield text, filling, _ALL


def _bent(text: str, form: inflect.Form, filling: Filling) -> Iterator[tuple[str, Filling, int]]:
    """A phrase in one form, once for each way that it is written, with the persons who share that way."""
    masks: dict[str, int] = {}
    for person in PERSONS:
        bent = inflect.phrase(text, form, person)
        masks[bent] = masks.get(bent, 0) | _MASK[person]
    for bent, mask in masks.items():
        yield bent, filling, mask
