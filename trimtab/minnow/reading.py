"""Reads sentences back: the frame that made them and what filled its slots."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from trimtab.minnow import films, frames, trivia
from trimtab.minnow.grammar import words
from trimtab.minnow.inflect import PERSONS, Person
from trimtab.minnow.lexicon import Action, Reason
from trimtab.minnow.slots import ANYBODY, MASK, Filling, entries

_SPACING = re.compile(
    r"\s[,.?!;]|\s\s|[,.?!;]{2,}|\b[Aa] (?!uni|use|one)[aeiou]|\b[Aa]n (?!hour|honest)[^aeiou]|[,;](?=[^\s\"])|\bi\b"
)
_BRACES = re.compile(r"\{(\w+)\}")


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
    """A line that is no sentence: one of the choices of a question."""
    if not line.startswith("- "):
        return None
    if trivia.MADE_UP.fullmatch(line, 2):
        return Reading("list.line", 0, frozenset(PERSONS), ())
    return _parse(words(line), False)


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


def phrases() -> Iterator[str]:
    """Every text that may fill a slot of some frame."""
    for slot in _parser().lexicons:
        for text, _, _ in entries(slot):
            yield text


class _Node:
    __slots__ = ("ends", "slots", "words")

    def __init__(self) -> None:
        self.words: dict[str, _Node] = {}
        self.slots: list[tuple[str, _Phrases, _Node]] = []
        self.ends: list[tuple[str, int]] = []


class _Phrases:
    """A trie of the phrases that may fill a slot."""

    __slots__ = ("ends", "words")

    def __init__(self) -> None:
        self.words: dict[str, _Phrases] = {}
        self.ends: list[tuple[Filling, int]] = []

    def add(self, text: str, filling: Filling, mask: int = ANYBODY) -> None:
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
                    yield -1, None, ANYBODY
                return
            following = node.words.get(tokens[at])
            if (
                following is None
                and at == len(tokens) - 1
                and any(w.startswith(tokens[at]) for w in node.words)
            ):
                yield -1, None, ANYBODY
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
        yield from self._match(self.root, tokens, 0, ANYBODY, (), cut)

    def _match(
        self,
        node: _Node,
        tokens: list[str],
        at: int,
        mask: int,
        slots: tuple[tuple[str, Filling], ...],
        cut: bool,
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
    return frozenset(person for person in PERSONS if MASK[person] & mask)


def _phrases(slot: str) -> _Phrases:
    out = _Phrases()
    for text, filling, mask in entries(slot):
        out.add(text, filling, mask)
    return out
