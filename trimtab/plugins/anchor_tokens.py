"""Which tokens of a model stand for anchor words, in all the forms that a text may have them in."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from trimtab.engine.math import anchor_direction
from trimtab.engine.program import Anchors
from trimtab.engine.text import clean_line
from trimtab.plugins.anchor_words import Sides, Word
from trimtab.plugins.context import MethodContext
from trimtab.plugins.errors import AnchorError

Parts: TypeAlias = Literal["first", "all"]
"""What stands for a word that no form of is one token: its first token, or each of them."""


@dataclass(frozen=True, eq=False)
class Resolved:
    """Anchor words in the tokens of one model."""

    anchors: Anchors
    direction: npt.NDArray[np.float64]
    """d: the mean unembedding row of the positive tokens less that of the negative ones."""
    notes: tuple[str, ...]

    @property
    def gain(self) -> float:
        """‖d‖²: by how much a step along d of length one times d raises phi."""
        return float(self.direction @ self.direction)


@dataclass(frozen=True)
class _Found:
    word: Word
    tokens: tuple[int, ...]


async def resolve(
    sides: Sides, model: MethodContext, *, name: str = "anchors", parts: Parts = "first", forms: bool = True
) -> Resolved:
    """The words' tokens with their weights. A word counts the same however many forms or tokens stand for it.

    With `forms` a word stands for itself with and without a blank before it and a capital at its start, as far as
    each is one token; without, for itself within a sentence only.
    """
    words = [*sides.positive, *sides.negative]
    await asyncio.gather(*(model.tokenize(form) for word in words for form in _forms(word.text, forms)))
    notes: list[str] = []
    positive = [await _find(word, model, parts, forms, notes) for word in sides.positive]
    negative = [await _find(word, model, parts, forms, notes) for word in sides.negative]
    both = {token for found in positive for token in found.tokens} & {
        token for found in negative for token in found.tokens
    }
    if both:
        shown = await _shown(sorted(both), model)
        positive, negative = (
            [_without(found, both, shown) for found in side] for side in (positive, negative)
        )
        notes.append(f"Words of both sides share {shown}, which is left out of both.")
    above, below = _weighed(positive), _weighed(negative)
    anchors = Anchors(
        name=name,
        positive=tuple(above),
        negative=tuple(below),
        positive_weights=tuple(above.values()),
        negative_weights=tuple(below.values()),
    )
    direction = anchor_direction(
        await model.unembed(anchors.positive),
        await model.unembed(anchors.negative),
        anchors.positive_weights,
        anchors.negative_weights,
    )
    if not direction.any():
        raise AnchorError("To this model the words of both sides are the same.", "Choose other words.")
    return Resolved(anchors, direction, tuple(notes))


def _forms(text: str, more: bool) -> tuple[str, ...]:
    """How the word may stand in a text; the first is how it stands within a sentence."""
    capital = text[0].upper() + text[1:]
    forms = (f" {text}", f" {capital}", text, capital) if more else (f" {text}",)
    return tuple(dict.fromkeys(forms))


async def _find(word: Word, model: MethodContext, parts: Parts, forms: bool, notes: list[str]) -> _Found:
    split = [await _tokens(form, model) for form in _forms(word.text, forms)]
    single = dict.fromkeys(tokens[0] for tokens in split if len(tokens) == 1)
    if single:
        return _Found(word, tuple(single))
    whole = split[0]
    if not whole:
        raise AnchorError(f"This model has no token for “{word.text}”.", "Choose another word.")
    pieces = await _shown(whole, model)
    if parts == "all":
        notes.append(f"“{word.text}” is {len(whole)} tokens here ({pieces}): each stands for it in part.")
        return _Found(word, tuple(dict.fromkeys(whole)))
    notes.append(f"“{word.text}” is {len(whole)} tokens here ({pieces}): the first stands for it.")
    return _Found(word, whole[:1])


async def _tokens(form: str, model: MethodContext) -> tuple[int, ...]:
    """A form's tokens, without one at the start that is nothing but the blank."""
    tokens = await model.tokenize(form)
    if len(tokens) > 1 and not (await model.pieces(tokens[:1]))[0].strip():
        return tokens[1:]
    return tokens


async def _shown(tokens: Sequence[int], model: MethodContext) -> str:
    pieces = await model.pieces(tokens)
    return ", ".join(f"“{clean_line(piece.decode('utf-8', 'replace'))}”" for piece in pieces)


def _without(found: _Found, tokens: set[int], shown: str) -> _Found:
    left = tuple(token for token in found.tokens if token not in tokens)
    if not left:
        raise AnchorError(
            f"Nothing is left of “{found.word.text}”: a word of the other side begins with {shown} too.",
            "Leave one of the two out, or let all tokens stand for a word (parts=all).",
        )
    return _Found(found.word, left)


def _weighed(side: Sequence[_Found]) -> dict[int, float]:
    """By token the weight of the words that it stands for."""
    weights: dict[int, float] = {}
    for found in side:
        for token in found.tokens:
            weights[token] = weights.get(token, 0.0) + found.word.weight / len(found.tokens)
    return weights
