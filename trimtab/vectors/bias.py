"""The context-bias test of the ConVA paper (its Table 2): do both sides of a recipe speak of the same things?

Where the positives speak of money and the negatives of holidays, a probe learns money against holidays. So the
most frequent context words of either side are compared: in a controlled recipe most are the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Literal

import msgspec

from trimtab.vectors.words import is_context, knows, words

SIZE = 25
CONTROLLED, BIASED = 15, 9
"""Of 25: so many shared words show controlled contexts, fewer than the second biased ones (the paper: 17 and 3)."""

EVERYWHERE = 0.2
"""In languages whose function words are not known, a word in this share of the texts of both sides is taken for one."""

BiasVerdict = Literal["controlled", "leaning", "biased"]


class WordCount(msgspec.Struct, frozen=True):
    """A word and in how many texts of its side it stands."""

    word: str
    texts: int


class ContextBias(msgspec.Struct, frozen=True, kw_only=True):
    """What the most frequent context words of the two sides have in common."""

    size: int
    """How many words of each side were compared: 25, or fewer where there are no more."""
    shared: tuple[str, ...]
    only_positive: tuple[WordCount, ...]
    only_negative: tuple[WordCount, ...]
    within: float
    """The share of context words that the two sides of a pair have in common, in the mean over all pairs."""

    @property
    def share(self) -> float:
        return len(self.shared) / self.size if self.size else 0.0

    @property
    def verdict(self) -> BiasVerdict:
        if self.share >= CONTROLLED / SIZE:
            return "controlled"
        return "leaning" if self.share >= BIASED / SIZE else "biased"


def context_bias(positive: Sequence[str], negative: Sequence[str], language: str = "en") -> ContextBias:
    """Compares the most frequent context words of the positives with those of the negatives.

    A word counts once for each text. Of words equally frequent on their side, those that are frequent on the
    other too come first, so that the cut is no lottery.
    """
    spoken = [[set(words(text)) for text in side] for side in (positive, negative)]
    ignored = set() if knows(language) else set.intersection(*map(_everywhere, spoken))
    sides = [
        [{word for word in text if word not in ignored and is_context(word, language)} for text in side]
        for side in spoken
    ]
    left, right = map(_counts, sides)
    size = min(SIZE, len(left), len(right))
    top, other = _top(left, right, size), _top(right, left, size)
    return ContextBias(
        size=size,
        shared=tuple(word for word in top if word in other),
        only_positive=tuple(WordCount(word, left[word]) for word in top if word not in other),
        only_negative=tuple(WordCount(word, right[word]) for word in other if word not in top),
        within=fmean(_overlap(*pair) for pair in zip(*sides, strict=True)),
    )


def _counts(texts: Iterable[set[str]]) -> Counter[str]:
    return Counter(word for text in texts for word in text)


def _everywhere(texts: Sequence[set[str]]) -> set[str]:
    return {word for word, count in _counts(texts).items() if count >= max(2, EVERYWHERE * len(texts))}


def _overlap(left: set[str], right: set[str]) -> float:
    return 2 * len(left & right) / (len(left) + len(right)) if left or right else 1.0


def _top(own: Counter[str], other: Counter[str], size: int) -> list[str]:
    return sorted(own, key=lambda word: (-own[word], -other[word], word))[:size]
