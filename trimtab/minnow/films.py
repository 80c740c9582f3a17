"""Film reviews: a Markov chain of good and bad sentences, and the exact log-odds that a text is a praise."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from trimtab.minnow import splits
from trimtab.minnow.splits import Split

STAY = 0.9
"""From sentence to sentence the sentiment stays with this probability."""
AGREE = 0.99
"""A cue shows the sentiment of its sentence with this probability."""

POSITIVE_ANCHORS = ("good", "best", "great", "nice", "interesting", "awesome", "like", "enjoy", "favorite")
NEGATIVE_ANCHORS = ("bad", "worst", "terrible", "silly", "awful", "poor", "stupid", "ugly", "hate")
"""The anchor words of the anchor-word paper, its Table 1."""

# Each kind of cue: the good words and the bad ones, anchors before others.
CUES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "adj": (
        ("good", "great", "nice", "interesting", "awesome", "lovely", "clever", "fresh", "charming", "gripping"),
        ("bad", "terrible", "silly", "awful", "poor", "stupid", "ugly", "dull", "weak", "flat", "clumsy", "tiresome"),
    ),
    "most": (("best", "finest", "strongest"), ("worst", "poorest", "weakest", "dullest")),
    "mine": (("favorite", "dearest"), ("worst", "dullest")),
    "like": (("like", "enjoy", "love", "admire"), ("hate", "dislike", "regret", "resent")),
}
_ANCHORS = frozenset((*POSITIVE_ANCHORS, *NEGATIVE_ANCHORS))
_ANCHOR_SHARE = {"adj": 0.58, "most": 0.6, "mine": 0.7, "like": 0.6}
"""Of the cues of a kind, how many are anchors: so chosen that over whole reviews half of all cues are."""

ASPECTS = tuple(
    "plot;story;script;acting;music;sound;ending;first scene;last scene;camera work;pace;cast;hero;villain;dialogue;"
    "lighting;costume work;opening;middle part;final act;humor;chase scene;title song;set design".split(";")
)
PIECES = tuple("plot;story;script;ending;first scene;hero;villain;title song;chase scene;opening;final act;cast".split(";"))
"""The aspects that can be counted."""
SHARED = (
    "The {aspect} was {adj}.",
    "I thought the {aspect} was {adj}.",
    "To me the {aspect} seemed {adj}.",
    "The {aspect} was {adj} from start to finish.",
    "The {aspect} was {adj} and the {aspect2} was {adj2}.",
    "It has a {adj} {piece} and a {adj2} {piece2}.",
    "What a {adj} {piece} this film has.",
    "What a {adj} film this is.",
    "The director made a {adj} film.",
    "It is a {adj} film about {subject}.",
    "The {aspect} felt {adj} every time.",
    "I {like} the {aspect}.",
    "I really {like} the {aspect} and the {aspect2}.",
    "You will {like} the {aspect} if you care about {subject}.",
    "The {most} thing about it is the {aspect}.",
    "The {most} scene comes in the middle.",
    "My {mine} part is the one with the {aspect}.",
    "It is my {mine} film of the year.",
    "A friend called the {aspect} {adj}, and I agree.",
    "Everybody in the row found the {aspect} {adj}.",
    "Even the {aspect} was {adj}.",
    "How {adj} the {aspect} was.",
)
GOOD = (
    "I would watch it again tomorrow.",
    "I left the cinema with a smile.",
    "The two hours went by in a moment.",
    "The whole room clapped at the end.",
    "I laughed and cried at the right places.",
    "Do not miss it.",
    "I have told all my friends to see it.",
)
BAD = (
    "I want my money back.",
    "I left the cinema with a headache.",
    "The two hours felt as long as a week.",
    "Half of the room left before the end.",
    "I fell asleep twice.",
    "Stay at home instead.",
    "I have told all my friends to avoid it.",
)
NEUTRAL = (
    "The film runs for two hours.",
    "It tells of {subject}.",
    "It was filmed in a small town.",
    "We sat in the third row.",
    "The story begins in winter.",
    "There are two main parts.",
    "It is based on an old book.",
    "The second part takes place at sea.",
    "I saw it with {company}.",
    "The cinema was half full.",
    "A short film was shown first.",
    "There was a break after an hour.",
)
OPEN = (
    "Here is a review of the film {title}.",
    "I saw the film {title} with {company}.",
    "A review of {title}.",
    "Last night they showed {title}.",
    "This is what I think of {title}.",
    "On Sunday I went to see {title}.",
)
MORE = (
    "I did not know what to expect.",
    "I had read nothing about it.",
    "It has been in the cinemas for a week.",
    "It was a rainy evening.",
    "We bought the tickets at the door.",
    "Many people had come.",
)
"""What may follow the opening; it takes no side."""
SUBJECTS = tuple(
    "two brothers at war;a lost city;a family of sailors;a thief and a judge;a girl and her horse;a long journey home;"
    "a teacher in a village;an old secret;a doctor on an island;a race around the world;a king without a crown;"
    "a summer by the lake".split(";")
)
COMPANY = tuple(
    "my sister;my brother;two friends;my neighbor;my class;an old friend;my parents;nobody else;a colleague".split(";")
)
_FIRST = "Silver Golden Quiet Broken Last Hidden Lonely Burning Crimson Frozen Paper Midnight Distant Forgotten Scarlet".split()
_SECOND = "River Road Garden Letter Harbor Mirror Train Island Tower Bridge Lantern Winter Mountain Clock Orchard Crown".split()
TITLES = tuple(f"The {first} {second}" for first in _FIRST for second in _SECOND)


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


def review(rng: random.Random, split: Split = "train", prefix: str = "", start: bool | None = None, stay: float = STAY) -> Review:
    """A review of 128 tokens and more; `start` fixes the first sentiment, `stay=1` keeps it to the end."""
    lines = [prefix or opening(rng, split)]
    states: list[bool] = []
    state = rng.random() < 0.5 if start is None else start
    recent: list[str] = []
    for _ in range(rng.randint(18, 25)):
        if rng.random() < 0.16:
            fact = rng.choice(NEUTRAL)
            if fact not in recent:
                recent.append(fact)
                lines.append(fact.format(**_things(rng)))
            continue
        if states and rng.random() > stay:
            state = not state
        states.append(state)
        lines.append(_fresh(lambda: _sentence(rng, state), recent))
    return Review(tuple(lines), tuple(states))


def opening(rng: random.Random, split: Split) -> str:
    """A neutral beginning to continue from."""
    titles = splits.titles(split)
    lines = [rng.choice(OPEN).format(title=rng.choice(titles), company=rng.choice(COMPANY))]
    if rng.random() < 0.5:
        lines.append(rng.choice(MORE).format(**_things(rng)))
    return " ".join(lines)


def cues(text: str) -> list[list[Cue]]:
    """The cues of a text, sentence by sentence, where there are any; text outside the grammar is read word by word."""
    from trimtab.minnow.grammar import sentences, words

    out: list[list[Cue]] = []
    for sentence in sentences(text):
        whole = _whole().get(sentence)
        found = [whole] if whole else [cue for word in words(sentence) if (cue := _by_word().get(word.lower()))]
        if found:
            out.append(found)
    return out


def log_odds(text: str, *, mask_anchors: bool = False) -> float:
    """log P(mostly praise | text) − log P(mostly blame | text), exact under the grammar; 0 where nothing tells.

    The states are a Markov chain (`STAY`), each cue agrees with its state (`AGREE`), and the number of praising
    sentences is counted along; a tie belongs to the last sentence's state.
    """
    steps = [
        sum(_weight(cue) for cue in found if not (mask_anchors and cue.anchor)) for found in cues(text)
    ]
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


def fixed() -> Iterator[tuple[str, str]]:
    for name, group in (("film.shared", SHARED), ("film.good", GOOD), ("film.bad", BAD), ("film.neutral", NEUTRAL), ("film.open", (*OPEN, *MORE))):
        for frame in group:
            yield name, frame


def entries(slot: str) -> Iterator[tuple[str, Any]]:
    if slot in CUES:
        for cue in _cues_of(slot):
            yield cue.text, cue
    else:
        for text in {"aspect": ASPECTS, "piece": PIECES, "subject": SUBJECTS, "company": COMPANY, "title": TITLES}[slot]:
            yield text, text


SLOTS = frozenset({*CUES, "aspect", "piece", "subject", "company", "title"})


@cache
def _cues_of(kind: str) -> tuple[Cue, ...]:
    return tuple(Cue(word, index == 0, word in _ANCHORS) for index, side in enumerate(CUES[kind]) for word in side)


@cache
def _by_word() -> dict[str, Cue]:
    return {cue.text: cue for kind in CUES for cue in _cues_of(kind)}


@cache
def _whole() -> dict[str, Cue]:
    return {text: Cue(text, side is GOOD, False) for side in (GOOD, BAD) for text in side}


@cache
def _choices(kind: str, good: bool, anchor: bool) -> tuple[str, ...]:
    return tuple(cue.text for cue in _cues_of(kind) if cue.good == good and cue.anchor == anchor)


def _sentence(rng: random.Random, state: bool) -> str:
    good = state if rng.random() < AGREE else not state
    if rng.random() < 0.14:
        return rng.choice(GOOD if good else BAD)
    things = _things(rng)
    for kind in CUES:
        things[kind] = _cue(rng, kind, good)
    things["adj2"] = _cue(rng, "adj", state if rng.random() < AGREE else not state)
    if things["adj2"] == things["adj"]:
        things["adj2"] = _cue(rng, "adj", _by_word()[things["adj"]].good)
    text = rng.choice(SHARED).format(**things)
    return _articles(text)


def _cue(rng: random.Random, kind: str, good: bool) -> str:
    return rng.choice(_choices(kind, good, rng.random() < _ANCHOR_SHARE[kind]))


def _things(rng: random.Random) -> dict[str, str]:
    aspect, aspect2 = rng.sample(ASPECTS, 2)
    piece, piece2 = rng.sample(PIECES, 2)
    return {"piece": piece, "piece2": piece2, "aspect": aspect, "aspect2": aspect2, "subject": rng.choice(SUBJECTS), "company": rng.choice(COMPANY)}


def _articles(text: str) -> str:
    for word in ("interesting", "awesome", "awful", "ugly"):
        text = text.replace(f" a {word}", f" an {word}")
    return text


def _fresh(make: Any, recent: list[str]) -> str:
    """A sentence that this review does not hold yet."""
    for _ in range(20):
        text: str = make()
        if text not in recent:
            break
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
