"""Film reviews: a Markov chain of good and bad sentences, and the exact log-odds that a text is a praise."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from trimtab.minnow import lexicon, splits
from trimtab.minnow.grammar import sentences, words
from trimtab.minnow.splits import Split

STAY = 0.9
"""From sentence to sentence the sentiment stays with this probability."""
AGREE = 0.998
"""A cue shows the sentiment of its sentence with this probability."""

POSITIVE_ANCHORS = ("good", "best", "great", "nice", "interesting", "awesome", "like", "enjoy", "favorite")
NEGATIVE_ANCHORS = ("bad", "worst", "terrible", "silly", "awful", "poor", "stupid", "ugly", "hate")
"""The anchor words of the anchor-word paper, its Table 1."""

ANCHORS = frozenset((*POSITIVE_ANCHORS, *NEGATIVE_ANCHORS))
WHOLE_SENTENCE = 0.14
"""The share of sentiment in sentences that only praise or only blame; the rest stands in frames that both share."""
NEUTRAL_SHARE = 0.16


@dataclass(frozen=True, slots=True)
class Cue:
    """A word or a sentence that shows a sentiment; `anchor` if it is one of the paper's words."""

    text: str
    good: bool
    anchor: bool


@dataclass(frozen=True, slots=True)
class Review:
    """A review with the truth about it: each sentiment-bearing sentence's state, in order."""

    sentences: tuple[str, ...]
    states: tuple[bool, ...]

    @property
    def text(self) -> str:
        return " ".join(self.sentences)

    @property
    def good(self) -> bool:
        """Whether most of it is praise; the last sentence decides a tie."""
        share = sum(self.states) * 2 - len(self.states)
        return share > 0 or (share == 0 and self.states[-1])


def review(
    rng: random.Random,
    split: Split = "train",
    prefix: str = "",
    start: bool | None = None,
    stay: float = STAY,
) -> Review:
    """A review of 128 tokens and more; `start` fixes the first sentiment, `stay=1` keeps it to the end."""
    lines = [prefix or opening(rng, split)]
    states: list[bool] = []
    state = rng.random() < 0.5 if start is None else start
    recent: list[str] = []
    subject = rng.choice(texts("subjects"))
    length = rng.randint(21, 27)
    while len(lines) < length:
        if rng.random() < NEUTRAL_SHARE:
            fact = rng.choice(texts("neutral"))
            if fact not in recent:
                recent.append(fact)
                lines.append(fact.format(subject=subject))
            continue
        if states and rng.random() > stay:
            state = not state
        states.append(state)
        lines.append(_fresh(rng, state, subject, recent))
    return Review(tuple(lines), tuple(states))


def opening(rng: random.Random, split: Split) -> str:
    """A neutral beginning to continue from."""
    titles = splits.titles(split)
    lines = [rng.choice(texts("open")).format(title=rng.choice(titles), company=rng.choice(texts("company")))]
    if rng.random() < 0.5:
        lines.append(rng.choice(texts("more")))
    return " ".join(lines)


def cues(text: str) -> list[list[Cue]]:
    """The cues of a text, sentence by sentence, where there are any; text outside the grammar is read word by word."""

    out: list[list[Cue]] = []
    for sentence in sentences(text):
        whole = _whole().get(sentence)
        found = (
            [whole] if whole else [cue for word in words(sentence) if (cue := _by_word().get(word.lower()))]
        )
        if found:
            out.append(found)
    return out


def log_odds(text: str, *, mask_anchors: bool = False) -> float:
    """log P(mostly praise | text) - log P(mostly blame | text), exact under the grammar; 0 where nothing tells.

    The states are a Markov chain (`STAY`), each cue agrees with its state (`AGREE`), and the number of praising
    sentences is counted along; a tie belongs to the last sentence's state.
    """
    steps = [sum(_weight(cue) for cue in found if not (mask_anchors and cue.anchor)) for found in cues(text)]
    if not steps:
        return 0.0
    # paths[state][count]: log-probability of being in `state` after having praised `count` times.
    paths = [[-math.inf, math.log(0.5) + steps[0] / 2], [math.log(0.5) - steps[0] / 2, -math.inf]]
    good, bad = paths[0], paths[1]
    stay, change = math.log(STAY), math.log(1 - STAY)
    for weight in steps[1:]:
        size = len(good)
        next_good = [-math.inf] * (size + 1)
        next_bad = [-math.inf] * (size + 1)
        for count in range(size):
            next_good[count + 1] = _add(good[count] + stay, bad[count] + change) + weight / 2
            next_bad[count] = _add(bad[count] + stay, good[count] + change) - weight / 2
        good, bad = next_good, next_bad
    length = len(steps)
    praise = blame = -math.inf
    for count in range(length + 1):
        for state, path in ((True, good), (False, bad)):
            if count * 2 > length or (count * 2 == length and state):
                praise = _add(praise, path[count])
            else:
                blame = _add(blame, path[count])
    return praise - blame


@cache
def kinds() -> tuple[str, ...]:
    """The kinds of cues, which are the slots that hold them."""
    return tuple(_content()["cues"])


@cache
def slots() -> frozenset[str]:
    return frozenset({*kinds(), "aspect", "part", "piece", "subject", "company", "title"})


@cache
def texts(key: str) -> tuple[str, ...]:
    return tuple(_content()[key])


@cache
def titles() -> tuple[str, ...]:
    return tuple(
        f"The {first} {second}" for first in texts("title_first") for second in texts("title_second")
    )


def anchors() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The positive and the negative anchor words, each one token of the model's vocabulary."""
    return POSITIVE_ANCHORS, NEGATIVE_ANCHORS


def fixed() -> Iterator[tuple[str, str]]:
    for name, group in (
        ("film.shared", texts("shared")),
        ("film.good", texts("good")),
        ("film.bad", texts("bad")),
        ("film.neutral", texts("neutral")),
        ("film.open", (*texts("open"), *texts("more"))),
    ):
        for frame in group:
            yield name, frame


def entries(slot: str) -> Iterator[tuple[str, Any]]:
    if slot in kinds():
        for cue in _cues_of(slot):
            yield cue.text, cue
    else:
        for text in {
            "aspect": texts("aspects"),
            "part": texts("parts"),
            "piece": texts("pieces"),
            "subject": texts("subjects"),
            "company": texts("company"),
            "title": titles(),
        }[slot]:
            yield text, text


@cache
def _cues_of(kind: str) -> tuple[Cue, ...]:
    return tuple(
        Cue(word, index == 0, word in ANCHORS)
        for index, side in enumerate(("good", "bad"))
        for word in _content()["cues"][kind][side]
    )


@cache
def _by_word() -> dict[str, Cue]:
    return {cue.text: cue for kind in kinds() for cue in _cues_of(kind)}


@cache
def _whole() -> dict[str, Cue]:
    return {text: Cue(text, side == "good", False) for side in ("good", "bad") for text in texts(side)}


@cache
def _choices(kind: str, good: bool, anchor: bool) -> tuple[str, ...]:
    return tuple(cue.text for cue in _cues_of(kind) if cue.good == good and cue.anchor == anchor)


def _sentence(rng: random.Random, state: bool, subject: str) -> str:
    good = state if rng.random() < AGREE else not state
    if rng.random() < WHOLE_SENTENCE:
        return rng.choice(texts("good") if good else texts("bad"))
    things = _things(rng, subject)
    for kind in kinds():
        things[kind] = _cue(rng, kind, good)
    things["adj2"] = _cue(rng, "adj", state if rng.random() < AGREE else not state)
    if things["adj2"] == things["adj"]:
        things["adj2"] = _cue(rng, "adj", _by_word()[things["adj"]].good)
    text = rng.choice(texts("shared")).format(**things)
    return _articles(text)


def _cue(rng: random.Random, kind: str, good: bool) -> str:
    return rng.choice(_choices(kind, good, rng.random() < _content()["cues"][kind]["anchor_share"]))


def _things(rng: random.Random, subject: str) -> dict[str, str]:
    aspect, aspect2 = rng.sample(texts("aspects"), 2)
    piece, piece2 = rng.sample(texts("pieces"), 2)
    return {
        "part": rng.choice(texts("parts")),
        "piece": piece,
        "piece2": piece2,
        "aspect": aspect,
        "aspect2": aspect2,
        "subject": subject,
    }


def _articles(text: str) -> str:
    for word in ("interesting", "awesome", "awful", "ugly"):
        text = text.replace(f" a {word}", f" an {word}")
    return text


def _fresh(rng: random.Random, state: bool, subject: str, recent: list[str]) -> str:
    """A sentence that this review does not hold yet."""
    text = _sentence(rng, state, subject)
    for _ in range(20):
        if text not in recent:
            break
        text = _sentence(rng, state, subject)
    recent.append(text)
    return text


def _weight(cue: Cue) -> float:
    """The log-odds that a cue adds for praise."""
    return math.log(AGREE / (1 - AGREE)) * (1 if cue.good else -1)


def _add(left: float, right: float) -> float:
    if left == -math.inf or right == -math.inf:
        return max(left, right)
    top = max(left, right)
    return top + math.log1p(math.exp(min(left, right) - top))


def _content() -> dict[str, Any]:
    return lexicon.load("films.toml")
