"""Anchor words by contrast (AWOT Eqs. 6-9): what a better model says more readily than a reference, word by word.

The score of a token type is the mean over its occurrences of log π*(t|x) / π_ref(t|x). Of the types in chosen
responses those with the highest scores are brought forward, of those in rejected ones the lowest are held back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from trimtab.engine.contract import FloatArray

MOST = 10
"""The paper's K: words on each side."""
LEAST = 5
"""Occurrences that a mean needs."""
_ENDS = ".!?…:;\n\"“”«»„'‘(["


@dataclass(frozen=True, eq=False)
class Response:
    """One response as tokens, with the log-probability of each under both models."""

    tokens: tuple[int, ...]
    better: FloatArray
    reference: FloatArray


@dataclass(frozen=True)
class Anchor:
    """A word that was chosen: its token, its mean log-ratio, and how often it occurred."""

    word: str
    token: int
    score: float
    count: int


@dataclass(frozen=True)
class Selected:
    positive: tuple[Anchor, ...]
    negative: tuple[Anchor, ...]
    names: tuple[str, ...] = ()
    """Words that were left out because they are names."""


@dataclass
class _Type:
    """A token type where it stands for a whole word."""

    word: str
    total: float = 0.0
    count: int = 0

    @property
    def mean(self) -> float:
        return self.total / self.count


@dataclass
class _Seen:
    """All whole words of one side, and how capitals are used."""

    types: dict[int, _Type] = field(default_factory=dict)
    within: Counter[str] = field(default_factory=Counter)
    """Words with a capital within a sentence."""
    small: Counter[str] = field(default_factory=Counter)
    """Words without one anywhere, in lower case."""


def select(
    chosen: Sequence[Response],
    rejected: Sequence[Response],
    pieces: Mapping[int, bytes],
    *,
    most: int = MOST,
    least: int = LEAST,
    keep_names: bool = False,
    leave_out: Collection[str] = (),
) -> Selected:
    """The words for both sides. A word that is on both is kept where it scores more.

    Only tokens that are whole words count: pieces of words, numbers, punctuation and special tokens are none. A name
    is a word that is written with a capital within sentences and hardly ever without.
    """
    above, below = _see(chosen, pieces), _see(rejected, pieces)
    names = set() if keep_names else _names(above, below)
    barred = names | {word.casefold() for word in leave_out}
    positive = _ranked(above, barred, least, sign=1.0)
    negative = _ranked(below, barred, least, sign=-1.0)
    best = {anchor.word.casefold(): abs(anchor.score) for anchor in negative}
    positive = [each for each in positive if abs(each.score) > best.get(each.word.casefold(), 0.0)]
    taken = {each.word.casefold() for each in positive[:most]}
    negative = [each for each in negative if each.word.casefold() not in taken]
    return Selected(tuple(positive[:most]), tuple(negative[:most]), tuple(sorted(names)))


def _see(responses: Sequence[Response], pieces: Mapping[int, bytes]) -> _Seen:
    seen = _Seen()
    for response in responses:
        ratios = response.better.astype(np.float64) - response.reference.astype(np.float64)
        texts = [pieces[token].decode("utf-8", "replace") for token in response.tokens]
        for at, word, starts in _words(texts):
            found = seen.types.setdefault(response.tokens[at], _Type(word))
            found.total += float(ratios[at])
            found.count += 1
            if word[0].islower():
                seen.small[word] += 1
            elif not starts:
                seen.within[word.casefold()] += 1
    return seen


def _words(texts: Sequence[str]) -> Iterator[tuple[int, str, bool]]:
    """Tokens that are whole words: where, which, and whether a sentence starts there."""
    before = ""
    for at, text in enumerate(texts):
        word = text.strip()
        after = texts[at + 1] if at + 1 < len(texts) else ""
        apart = text[:1].isspace() or not before[-1:].isalnum()
        if word and apart and _is_word(word) and (text[-1:].isspace() or not _goes_on(after)):
            ended = before.rstrip(" ")
            yield at, word, not ended or ended[-1] in _ENDS
        before += text


def _is_word(text: str) -> bool:
    return text[0].isalpha() and text[-1].isalpha() and all(each.isalpha() or each in "-'’" for each in text)


def _goes_on(after: str) -> bool:
    """Whether a text that follows belongs to the word before it, as `'t` does."""
    return (
        after[:1].isalnum()
        or after[:1] == "\ufffd"
        or (after[:1] in ("'", "’", "-") and after[1:2].isalpha())
    )


def _names(*sides: _Seen) -> set[str]:
    within: Counter[str] = Counter()
    small: Counter[str] = Counter()
    for side in sides:
        within += side.within
        small += side.small
    return {word for word, count in within.items() if len(word) > 1 and small[word] * 10 < count}


def _ranked(seen: _Seen, barred: Collection[str], least: int, sign: float) -> list[Anchor]:
    """By score, the strongest first; of the forms of one word the strongest."""
    found: dict[str, Anchor] = {}
    kept = (
        (token, each) for token, each in seen.types.items() if each.count >= least and each.mean * sign > 0
    )
    for token, each in sorted(kept, key=lambda item: (-sign * item[1].mean, item[0])):
        folded = each.word.casefold()
        if folded not in barred and folded not in found:
            found[folded] = Anchor(each.word, token, each.mean, each.count)
    return list(found.values())
