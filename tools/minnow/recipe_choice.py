"""Chooses, from what the grammar drew for a recipe, pairs and questions that do not repeat or mark each other."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest

from trimtab.vectors.recipe import Pair
from trimtab.vectors.similar import Gist, gist
from trimtab.vectors.words import is_context, is_negation, words

LANGUAGE = "minnow"
UNEVEN = 4
"""No side of a pair is longer than the other by more words, nor are all sides together."""
WINDOW = 400
"""The best of so many candidates is taken next."""
SHARED_WORD = 20
"""What a context word on both sides is worth, in units of a context word that begins to mark one side: 10."""


class _Candidate:
    """A drawn pair with what its choice depends on."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        positive, negative = words(pair.positive), words(pair.negative)
        self.longer = len(positive) - len(negative)
        self.gists = (gist(pair.positive, LANGUAGE), gist(pair.negative, LANGUAGE))
        self.shared = sum(is_context(word, LANGUAGE) for word in set(positive) & set(negative))
        self.marks = [(word, 1, _weight(word)) for word in sorted(set(positive) - set(negative))]
        self.marks += [(word, -1, _weight(word)) for word in sorted(set(negative) - set(positive))]

    def cost(self, excess: Counter[str]) -> int:
        """How much more its words would then mark one side, by the square of each word's excess, and how little
        of the context both sides share."""
        marked = sum((2 * side * excess[word] + 1) * weight for word, side, weight in self.marks)
        return marked - SHARED_WORD * self.shared


def _weight(word: str) -> int:
    """How much it weighs when a word marks a side: of plain words it matters less, but for negations."""
    if is_negation(word):
        return 40
    return 10 if is_context(word, LANGUAGE) else 3


def unlike_pairs(drawn: Iterable[Pair], count: int, kind: Callable[[Pair], object]) -> tuple[Pair, ...]:
    """So many pairs, the kinds taking turns, whose words mark neither side."""
    queues: dict[object, deque[_Candidate]] = {}
    for pair in drawn:
        queues.setdefault(kind(pair), deque()).append(_Candidate(pair))
    chosen: list[_Candidate] = []
    taken: list[Gist] = []
    excess: Counter[str] = Counter()
    longer = 0
    while len(chosen) < count:
        queue = list(queues.values())[len(chosen) % len(queues)]
        window = [queue.popleft() for _ in range(min(WINDOW, len(queue)))]
        ranked = sorted(window, key=lambda each: each.cost(excess))
        best = next(
            each
            for each in ranked
            if abs(each.longer) <= UNEVEN
            and abs(longer + each.longer) <= max(UNEVEN, abs(longer))
            and not _repeats(each.gists, taken)
        )
        chosen.append(best)
        taken += best.gists
        longer += best.longer
        excess.update({word: side for word, side, _ in best.marks})
        queue.extend(each for each in window if each is not best)
    return tuple(each.pair for each in chosen)


def unlike_texts(
    lists: Sequence[Sequence[tuple[str, str]]], count: int, of_group: int, against: Iterable[str] = ()
) -> list[dict[str, tuple[str, ...]]]:
    """From each list of (group, text) at most so many texts, and so many of a group; the lists take turns.

    None is like another one in any of the lists, or like those against which they are held.
    """
    taken = [gist(text, LANGUAGE) for text in against]
    out: list[defaultdict[str, list[str]]] = [defaultdict(list) for _ in lists]
    for row in zip_longest(*map(dict.fromkeys, lists)):
        for found, drawn in zip(out, row, strict=True):
            if drawn is None or sum(map(len, found.values())) == count or len(found[drawn[0]]) == of_group:
                continue
            mine = gist(drawn[1], LANGUAGE)
            if not _repeats((mine,), taken):
                found[drawn[0]].append(drawn[1])
                taken.append(mine)
    return [{group: tuple(texts) for group, texts in found.items() if texts} for found in out]


def _repeats(gists: Iterable[Gist], taken: Sequence[Gist]) -> bool:
    return any(mine.repeats(other) for mine in gists for other in taken)
