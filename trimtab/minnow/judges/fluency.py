"""Whether a text is of the language: every sentence one of its sentences, and none said twice."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import islice, pairwise

from trimtab.minnow import corpus, lexicon
from trimtab.minnow.grammar import sentences, words
from trimtab.minnow.reading import phrases, read
from trimtab.minnow.splits import Split

_STUTTER = re.compile(r"\b(\w+(?:\W+\w+){0,5})(?:\W+\1\b)+", re.IGNORECASE)
"""The same few words twice in a row."""
LEARNED_FROM = 3000
"""So many documents of each register teach the rule its pairs and triples of words, and as many set its threshold."""
PASSING = 0.99
"""The share of held-out sentences that must pass the rule."""


@dataclass(frozen=True, slots=True)
class Fluency:
    """What a text's sentences are: read by the grammar, passed by the rule, neither (`strange`), or said twice."""

    read: int
    near: int
    strange: tuple[str, ...]
    repeated: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return bool(self.read or self.near) and not self.strange and not self.repeated

    @property
    def strict(self) -> bool:
        """Every sentence read by the grammar itself."""
        return self.ok and not self.near


def fluent(text: str, *, cut: bool = False) -> Fluency:
    """Judges one turn's text, or a plain document; `cut` allows the last sentence to stop short."""
    parts = sentences(text)
    known = near = 0
    strange: list[str] = []
    reasons: list[str] = []
    for number, part in enumerate(parts):
        last = cut and number == len(parts) - 1
        reading = read(part, cut=last)
        if reading:
            known += 1
            reasons += [reason.text for reason in reading.reasons()]
        elif passes(part):
            near += 1
        else:
            strange.append(part)
    return Fluency(known, near, tuple(strange), _twice([*parts, *reasons]))


def passes(sentence: str) -> bool:
    """The rule for a sentence that the grammar cannot read: its words follow one another as in the language."""
    if not sentence.endswith((".", "?", "!", '"')) or not sentence[:2].strip('"')[:1].isupper():
        return False
    if _STUTTER.search(sentence):
        return False
    pairs, triples = _known()
    allowed = _allowed()
    odd = _odd(sentence, pairs, triples)
    return odd[0] <= allowed[0] and odd[1] <= allowed[1]


def _twice(parts: Iterable[str]) -> tuple[str, ...]:
    seen: set[str] = set()
    out = []
    for part in parts:
        if part in seen:
            out.append(part)
        seen.add(part)
    return tuple(out)


def _line(text: str) -> list[str]:
    names = _names()
    return [
        "",
        *("NAME" if word in names else "NUMBER" if word.isdigit() else word.lower() for word in words(text)),
        "",
    ]


def _odd(
    sentence: str, pairs: frozenset[tuple[str, ...]], triples: frozenset[tuple[str, ...]]
) -> tuple[float, float]:
    """The shares of a sentence's neighbouring pairs and triples of words that the language never has."""
    line = _line(sentence)
    two = list(pairwise(line))
    three = list(zip(line, line[1:], line[2:], strict=False))
    return sum(each not in pairs for each in two) / len(two), sum(
        each not in triples for each in three
    ) / len(three)


@cache
def _names() -> frozenset[str]:
    return frozenset(name.text for name in lexicon.names())


@cache
def _known() -> tuple[frozenset[tuple[str, ...]], frozenset[tuple[str, ...]]]:
    """The pairs and triples of words that training text has."""
    lines = [_line(text) for text in (*_sample("train"), *phrases())]
    pairs = frozenset(pair for line in lines for pair in pairwise(line))
    return pairs, frozenset(
        triple for line in lines for triple in zip(line, line[1:], line[2:], strict=False)
    )


@cache
def _allowed() -> tuple[float, float]:
    """The shares of unknown pairs and triples that held-out sentences keep below, all but one in a hundred."""
    odd = [_odd(sentence, *_known()) for sentence in _sample("validation")]
    at = int(PASSING * (len(odd) - 1))
    return sorted(pair for pair, _ in odd)[at], sorted(triple for _, triple in odd)[at]


def _sample(split: Split) -> list[str]:
    """Sentences of documents. The items of lists are none: they may be words made up on the spot."""
    return [
        sentence
        for register in ("base", "aligned")
        for document in islice(corpus.documents("fluency", split, register), LEARNED_FROM)
        for turn in document.turns
        if turn.role in ("assistant", "text")
        for sentence in sentences(turn.text)
        if not sentence.startswith("- ")
    ]
