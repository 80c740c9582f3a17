"""Finds texts that are nearly the same among thousands, without comparing each with each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from trimtab.vectors.words import is_context, stem, words

SAME_WORDS, SAME_IDEA = 0.5, 0.45
"""Two texts repeat each other if they share so much of all their words, or of what their context words stem from.

Pairs written one by one stay below 0.4 in both; what one template makes, or one scene told twice, lies above.
"""


FEWEST = 4
"""Texts with fewer different words are compared as a whole only."""
MOST_LINKS = 20
"""Of a text that is like very many, so many are named."""
_TINY = 1e-9
"""Keeps 0.6 · 35 from being more than 21."""


@dataclass(frozen=True, slots=True)
class Gist:
    """What two texts are compared by: the whole, all their words, and the stems of their context words."""

    whole: str
    plain: frozenset[str]
    ideas: frozenset[str]

    def repeats(self, other: Gist) -> bool:
        """Whether one text repeats the other, as `alike` finds it for many."""
        return (
            self.whole == other.whole
            or _shared(self.plain, other.plain) >= SAME_WORDS
            or _shared(self.ideas, other.ideas) >= SAME_IDEA
        )


def gist(text: str, language: str) -> Gist:
    """The gist of a text; of a very short one only the whole."""
    spoken = words(text)
    plain = frozenset(spoken)
    ideas = frozenset(stem(word) for word in spoken if is_context(word, language))
    whole = " ".join(text.casefold().split()).rstrip(".!?")
    return Gist(whole, *(each if len(each) >= FEWEST else frozenset() for each in (plain, ideas)))


def alike(texts: Sequence[str], language: str) -> list[tuple[int, int, bool]]:
    """Which texts repeat each other, and whether they are the same.

    Nearly the same are texts alike in all their words, as what is made from one template, or in the stems of their
    context words, as one idea said twice.
    """
    gists = [gist(text, language) for text in texts]
    found = {(left, right): False for left, right, _ in similar([each.plain for each in gists], SAME_WORDS)}
    found |= {(left, right): False for left, right, _ in similar([each.ideas for each in gists], SAME_IDEA)}
    last: dict[str, int] = {}
    for at, each in enumerate(gists):
        if each.whole in last:
            found[last[each.whole], at] = True
        last[each.whole] = at
    return [(left, right, same) for (left, right), same in sorted(found.items())]


def similar(texts: Sequence[frozenset[str]], threshold: float) -> Iterator[tuple[int, int, float]]:
    """Two sets of words each whose Jaccard similarity reaches the threshold, the earlier one first.

    Two sets that share so much must share one of each other's rarest words, so only those are looked up. What is
    like an earlier one is always found; of a set that is like very many, only some of them.
    """
    frequency = Counter(word for text in texts for word in text)
    ranks = {
        word: rank for rank, (word, _) in enumerate(sorted(frequency.items(), key=lambda each: each[::-1]))
    }
    index: defaultdict[int, list[int]] = defaultdict(list)
    ranked = [frozenset(ranks[word] for word in text) for text in texts]
    for at, text in enumerate(ranked):
        rarest = sorted(text)[: len(text) - ceil(threshold * len(text) - _TINY) + 1]
        seen: set[int] = set()
        for word in rarest:
            seen.update(index[word])
            index[word].append(at)
        links = 0
        for other in seen:
            shorter, longer = sorted((len(text), len(ranked[other])))
            if shorter < threshold * longer - _TINY:
                continue
            common = len(text & ranked[other])
            if common >= threshold * (shorter + longer - common) - _TINY:
                yield other, at, common / (shorter + longer - common)
                links += 1
                if links == MOST_LINKS:
                    break


def _shared(left: frozenset[str], right: frozenset[str]) -> float:
    common = len(left & right)
    return common / (len(left) + len(right) - common) + _TINY if common else 0.0


def clusters(links: Iterable[tuple[int, int]]) -> list[list[int]]:
    """What is linked directly or through others, in order."""
    leader: dict[int, int] = {}

    def find(item: int) -> int:
        while leader.setdefault(item, item) != item:
            leader[item] = leader[leader[item]]
            item = leader[item]
        return item

    for left, right in sorted(links):
        low, high = sorted((find(left), find(right)))
        leader[high] = low
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for item in sorted(leader):
        groups[find(item)].append(item)
    return [members for _, members in sorted(groups.items())]
