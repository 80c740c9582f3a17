"""What belongs to train, validation and test, by construction, and the manifest that proves them disjoint."""

from __future__ import annotations

import hashlib
import json
import zlib
from functools import cache
from itertools import combinations
from typing import Literal, get_args

from trimtab.errors import TrimtabError
from trimtab.minnow import frames, lexicon, trivia
from trimtab.minnow.lexicon import SCENES, VALUES, Action, Name, Topic

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


class SplitError(TrimtabError):
    """Two splits share what should belong to one of them."""


def of_key(key: str, validation: int, test: int) -> Split:
    """The split of a key by its hash, with so many per cent held out for each."""
    number = (zlib.crc32(key.encode()) >> 7) % 100
    return "validation" if number < validation else "test" if number < validation + test else "train"


@cache
def of_name(name: Name) -> Split:
    return of_key(f"name:{name.text}", 10, 10)


@cache
def names(split: Split) -> tuple[Name, ...]:
    return tuple(name for name in lexicon.names() if of_name(name) == split)


@cache
def of_combination(name: Name, topic: Topic) -> Split:
    """A name with a scene's matter and so with its actions: held-out names hold out all of theirs."""
    return of_name(name) if of_name(name) != "train" else of_key(f"{name.text}|{topic.id}", 5, 5)


@cache
def names_for(topic: Topic, split: Split) -> tuple[Name, ...]:
    return tuple(name for name in lexicon.names() if of_combination(name, topic) == split)


@cache
def held_out(action: Action) -> bool:
    """One action in five is told in stories and never weighed in a training dilemma."""
    return (VALUES.index(action.value) + SCENES.index(action.scene)) % 5 == action.topic


@cache
def of_action(action: Action) -> Split:
    """The split whose dilemmas may weigh a held-out action; the others are free for all."""
    if not held_out(action):
        return "train"
    return "validation" if SCENES.index(action.scene) % 2 else "test"


@cache
def of_pairing(left: Action, right: Action) -> Split | None:
    """The split of a dilemma between two actions, in either order; None where both splits would claim it."""
    if left.id > right.id:
        return of_pairing(right, left)
    claims = {of_action(each) for each in (left, right)} - {"train"}
    if len(claims) > 1:
        return None
    if claims:
        return next(iter(claims))
    return _free_pairings(left.value, right.value)[left.scene, left.topic]


@cache
def _free_pairings(left: str, right: str) -> dict[tuple[str, int], Split]:
    """The split of each pairing of two values' free actions: in hash order, 15 % for each held-out split."""
    topics = [
        topic
        for topic in lexicon.topics()
        if not held_out(topic.action(left)) and not held_out(topic.action(right))
    ]
    topics.sort(key=lambda topic: zlib.crc32(f"{left}|{right}|{topic.id}".encode()))
    share = round(0.15 * len(topics))
    return {
        (topic.scene, topic.index): "validation" if rank < share else "test" if rank < 2 * share else "train"
        for rank, topic in enumerate(topics)
    }


@cache
def pairings(topic: Topic, split: Split) -> tuple[tuple[Action, Action], ...]:
    return tuple(pair for pair in combinations(topic.actions, 2) if of_pairing(*pair) == split)


@cache
def pairings_with(topic: Topic, value: str, split: Split) -> tuple[tuple[Action, Action], ...]:
    """The pairings of a topic in which a value takes part, its action first."""
    out = []
    for left, right in pairings(topic, split):
        if value in (left.value, right.value):
            out.append((left, right) if left.value == value else (right, left))
    return tuple(out)


@cache
def of_triple(triple: tuple[Action, Action, Action]) -> Split | None:
    """Three-way dilemmas: in train only of training pairings; else of the one split that its other pairings name."""
    claims = {of_pairing(*pair) for pair in combinations(triple, 2)}
    if None in claims or {"validation", "test"} <= claims:
        return None
    return "test" if "test" in claims else "validation" if "validation" in claims else "train"


@cache
def triples(topic: Topic, split: Split) -> tuple[tuple[Action, Action, Action], ...]:
    return tuple(triple for triple in combinations(topic.actions, 3) if of_triple(triple) == split)


HELD_FRAMES: dict[str, tuple[int, int]] = {
    "ask.two": (2, 2),
    "ask.three": (1, 1),
    "persona.care": (1, 1),
    "request": (1, 1),
    "sum.ask": (1, 1),
}
"""Of these groups' frames, the last ones stay out of training: so many for validation, then so many for test."""


@cache
def frames_for(group: str, split: Split) -> tuple[str, ...]:
    """The frames of a group that a split may use; groups without held-out frames are shared."""
    every = frames.FRAMES[group]
    validation, test = HELD_FRAMES.get(group, (0, 0))
    if not test:
        return every
    if split == "train":
        return every[: len(every) - validation - test]
    return every[-validation - test : -test] if split == "validation" else every[-test:]


@cache
def fact_phrasings(relation: str, split: Split) -> tuple[tuple[str, str], ...]:
    """Leads and frames for asking a relation, held out by their combination."""
    every = [(lead, frame) for lead in trivia.fact_leads() for frame in trivia.fact_frames(relation, "ask")]
    return tuple(each for each in every if of_key("|".join((relation, *each)), 12, 12) == split)


@cache
def outside_things(split: Split) -> tuple[str, ...]:
    return tuple(each for each in trivia.outside()["things"] if of_key(f"thing:{each}", 15, 15) == split)


@cache
def outside_lines(split: Split) -> tuple[str, ...]:
    return tuple(each for each in trivia.outside()["lines"] if of_key(f"line:{each}", 15, 15) == split)


@cache
def titles(split: Split) -> tuple[str, ...]:
    from trimtab.minnow import films

    return tuple(each for each in films.titles() if of_key(f"title:{each}", 10, 10) == split)


def manifest() -> dict[str, dict[str, list[str]]]:
    """Everything that is held out, by family and split."""
    families: dict[str, dict[str, list[str]]] = {}
    for split in SPLITS:
        content = {
            "names": [name.text for name in names(split)],
            "combinations": [
                f"{name.text} {topic.id}" for topic in lexicon.topics() for name in names_for(topic, split)
            ],
            "dilemma actions": [
                each.id for each in lexicon.actions().values() if held_out(each) and of_action(each) == split
            ],
            "pairings": [f"{a.id} {b.id}" for topic in lexicon.topics() for a, b in pairings(topic, split)],
            "triples": [
                " ".join(a.id for a in three) for topic in lexicon.topics() for three in triples(topic, split)
            ],
            "frames": [f"{group}: {frame}" for group in HELD_FRAMES for frame in frames_for(group, split)],
            "fact phrasings": [
                f"{relation}: {lead} {frame}"
                for relation in trivia.RELATIONS
                for lead, frame in fact_phrasings(relation, split)
            ],
            "outside": [*outside_things(split), *outside_lines(split)],
            "titles": list(titles(split)),
        }
        for family, members in content.items():
            families.setdefault(family, {})[split] = sorted(members)
    return families


def prove(families: dict[str, dict[str, list[str]]]) -> str:
    """Checks that no member of a family is in two splits and that held-out actions are in no training pairing.

    Returns the manifest's SHA-256; raises SplitError with the first culprit.
    """
    for family, parts in families.items():
        for left, right in combinations(parts, 2):
            shared = set(parts[left]) & set(parts[right])
            if shared:
                raise SplitError(
                    f"{family}: {min(shared)!r} is in {left} and in {right}.",
                    "Assign it to one split in splits.py.",
                )
    held = {each for split in ("validation", "test") for each in families["dilemma actions"][split]}
    for family in ("pairings", "triples"):
        for line in families[family]["train"]:
            culprits = held & set(line.split())
            if culprits:
                raise SplitError(
                    f"{family}: {culprits.pop()!r} is weighed in train.", "Keep held-out actions out of it."
                )
    return hashlib.sha256(json.dumps(families, sort_keys=True).encode()).hexdigest()
