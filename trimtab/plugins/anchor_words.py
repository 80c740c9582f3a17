"""Anchor words as people type them: `+ good best:2 - bad "not nice"`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trimtab.engine.text import clean_line
from trimtab.plugins.errors import AnchorError

MAX_WORDS = 500
"""On each side."""
MAX_WEIGHT = 1000.0

_SIGNS = {"+": "+", "-": "-", "\N{MINUS SIGN}": "-", "\N{EN DASH}": "-"}
_QUOTES = {'"': '"', "\N{LEFT DOUBLE QUOTATION MARK}": "\N{RIGHT DOUBLE QUOTATION MARK}"}
_EXAMPLE = "Write them so: + good best:2 - bad awful"
_PLAIN = re.compile(r"[^\s,\"“:]+")


@dataclass(frozen=True)
class Word:
    """A word or a phrase, and how much it counts beside the others of its side."""

    text: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", " ".join(clean_line(self.text).split()))
        if not self.text:
            raise AnchorError("An anchor word is empty.", _EXAMPLE)
        if not (math.isfinite(self.weight) and 0 < self.weight <= MAX_WEIGHT):
            raise AnchorError(
                f"The weight of “{self.text}” is {self.weight:g}; it lies above 0 and up to {MAX_WEIGHT:g}.",
                "To turn the model away from it, put it on the other side.",
            )

    def __str__(self) -> str:
        plain = _PLAIN.fullmatch(self.text) and self.text[0] not in _SIGNS
        left, right = ('"', '"') if '"' not in self.text else list(_QUOTES.items())[1]
        shown = self.text if plain else f"{left}{self.text}{right}"
        return shown if self.weight == 1 else f"{shown}:{self.weight!r}"


@dataclass(frozen=True)
class Sides:
    """The words to bring forward and those to hold back."""

    positive: tuple[Word, ...] = ()
    negative: tuple[Word, ...] = ()

    def __post_init__(self) -> None:
        if not self.positive and not self.negative:
            raise AnchorError("There are no anchor words.", _EXAMPLE)
        for name, words in (("positive", self.positive), ("negative", self.negative)):
            if len(words) > MAX_WORDS:
                raise AnchorError(f"There are {len(words)} {name} anchor words; {MAX_WORDS} are the most.")
            twice = _twice([word.text for word in words])
            if twice:
                raise AnchorError(
                    f"“{twice}” is among the {name} anchor words twice.", f"Weigh it instead: {twice}:2"
                )
        both = {_folded(word.text) for word in self.positive} & {_folded(word.text) for word in self.negative}
        if both:
            raise AnchorError(f"“{min(both)}” is an anchor word on both sides.", "Drop it from one.")

    @classmethod
    def of(cls, positive: Sequence[str] = (), negative: Sequence[str] = ()) -> Sides:
        """Words without weights, as recipes and packs hold them."""
        return cls(tuple(map(Word, positive)), tuple(map(Word, negative)))

    def swapped(self) -> Sides:
        return Sides(self.negative, self.positive)

    def __str__(self) -> str:
        sides = (("+", self.positive), ("-", self.negative))
        return " ".join(f"{sign} {' '.join(map(str, words))}" for sign, words in sides if words)


def parse_anchors(text: str) -> Sides:
    """Reads words after a `+` or a `-`, which stands alone or before its first word.

    Words are parted by blanks or commas, phrases and whatever looks like a sign stand in quotes, and `:2` after either
    is its weight.
    """
    sides: dict[str, list[Word]] = {"+": [], "-": []}
    sign = ""
    signed_at = 0
    for at, found in _pieces(clean_line(text)):
        if isinstance(found, Word):
            if not sign:
                raise AnchorError(f"“{found.text}” stands before any sign: is it wanted or not?", _EXAMPLE)
            sides[sign].append(found)
            signed_at = 0
            continue
        if signed_at:
            raise AnchorError(f"No word follows the sign at column {signed_at}.", _EXAMPLE)
        sign, signed_at = found, at
    if signed_at:
        raise AnchorError(f"No word follows the sign at column {signed_at}.", _EXAMPLE)
    return Sides(tuple(sides["+"]), tuple(sides["-"]))


def _pieces(text: str) -> Iterator[tuple[int, Word | str]]:
    """Signs and words, each with its column."""
    at = 0
    while at < len(text):
        if text[at].isspace() or text[at] == ",":
            at += 1
        elif text[at] in _SIGNS:
            yield at + 1, _SIGNS[text[at]]
            at += 1
        else:
            begin = at + 1
            word, at = _word(text, at)
            yield begin, word


def _word(text: str, at: int) -> tuple[Word, int]:
    begin = at
    if text[at] in _QUOTES:
        end = text.find(_QUOTES[text[at]], at + 1)
        if end < 0:
            raise AnchorError(f"The quote at column {at + 1} is not closed.", 'Write phrases so: "not nice"')
        said, at = text[at + 1 : end], end + 1
    else:
        found = _PLAIN.match(text, at)
        if found is None:
            raise AnchorError(f"A colon at column {at + 1} follows no word.", "A weight goes so: good:2")
        said, at = found.group(), found.end()
    if not said.strip():
        raise AnchorError(f"The quotes at column {begin + 1} hold nothing.", _EXAMPLE)
    weight = 1.0
    if at < len(text) and text[at] == ":":
        end = at + 1
        while end < len(text) and not text[end].isspace() and text[end] != ",":
            end += 1
        weight, at = _weight(said, text[at + 1 : end]), end
    elif at < len(text) and not text[at].isspace() and text[at] != ",":
        raise AnchorError(f"Something follows “{said}” without a blank.", "Part words by blanks.")
    return Word(said, weight), at


def _weight(word: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise AnchorError(
            f"The weight of “{word}” is “{text}”, which is no number.",
            f'Write {word}:2, or put all of it in quotes if the colon belongs to it: "{word}:{text}"',
        ) from None


def _twice(words: Sequence[str]) -> str:
    seen: set[str] = set()
    for word in words:
        if _folded(word) in seen:
            return word
        seen.add(_folded(word))
    return ""


def _folded(word: str) -> str:
    return word.casefold()
