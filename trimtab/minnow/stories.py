"""Stories that show one value throughout, and pairs of texts that differ in nothing but the value."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from trimtab.minnow import frames, lexicon, splits
from trimtab.minnow.grammar import Fill, write
from trimtab.minnow.inflect import Person
from trimtab.minnow.lexicon import VALUES, Action, Name, Topic
from trimtab.minnow.splits import Split
from trimtab.minnow.thread import Thread, home_scenes

Shape = tuple[str, ...]

# What a story is made of. A story that weighs names a rival action too.
_TOLD: tuple[Shape, ...] = (
    ("act", "why"),
    ("act", "why", "why"),
    ("actwhy", "why"),
    ("actwhy", "why", "why"),
    ("decide", "end", "why"),
    ("decide", "end", "why", "why"),
    ("plan", "why"),
    ("act",),
)
_ASKED: tuple[Shape, ...] = (
    ("ask", "assent"),
    ("ask", "assent", "why"),
    ("askwhy", "because"),
    ("act", "askwhy", "because"),
)
_WEIGHED: tuple[Shape, ...] = (("weigh", "chose"), ("weigh", "chose", "why"), ("decide", "weigh", "chose"))
_SPOKEN: tuple[Shape, ...] = (
    ("decide", "urge", "reply"),
    ("decide", "urge", "reply", "retort"),
    ("urge", "reply", "retort"),
)


def story(thread: Thread, *, first: bool, weighs: bool = True) -> str:
    """One story of the thread's person; `first` introduces them by name."""
    rng = thread.rng
    spin = rng.random()
    shapes = _TOLD
    if spin < 0.22:
        shapes = _ASKED
    elif weighs and spin < 0.32:
        shapes = _WEIGHED
    elif weighs and spin < 0.4 and thread.person in ("he", "she") and thread.name:
        shapes = _SPOKEN
    weighed = shapes is _WEIGHED or shapes is _SPOKEN
    topic = thread.topic(weighed=weighed)
    action = topic.action(thread.value)
    actions = (action, thread.rival(topic)) if weighed else (action,)
    lines = []
    named = first or rng.random() < 0.4
    for part in thread.choice(shapes):
        weigh_order = part == "weigh" and rng.random() < 0.5
        used = actions[::-1] if weigh_order else actions
        introduces = named and part not in ("urge", "because", "assent", "why", "end", "retort")
        lines.append(
            thread.line(f"story.{part}", *used, named=named, introduces=introduces and part != "reply")
        )
        if introduces:
            named = rng.random() < 0.1
    return " ".join(lines)


def stories(
    thread: Thread, count: int, *, cue: bool = False, moral: bool = False, weighs: bool = True
) -> str:
    """Several stories of one person, with a sentence that names the value first, or last, or nowhere."""
    told = []
    if cue:
        told.append(thread.line("story.cue", named=True, introduces=True))
    told += [story(thread, first=number == 0 and not cue, weighs=weighs) for number in range(count)]
    if moral:
        told.append(thread.line("story.moral"))
    return " ".join(told)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts of the same shape: the first shows the value, the second another one."""

    positive: str
    negative: str
    person: Literal["first", "third"]
    form: Literal["statement", "question"]


def pairs(
    value: str, rng: random.Random, *, count: int = 100, split: Split = "train", controlled: bool = True
) -> list[Pair]:
    """Contrast pairs as the papers use them: first and third person, statement and question, a quarter each.

    Controlled, both sides share person, matter, frame and times. Uncontrolled, the positive plays in the scenes
    that belong to the value and the negative anywhere, with nothing shared.
    """
    kinds: list[tuple[Literal["first", "third"], Literal["statement", "question"]]] = [
        ("first", "statement"),
        ("third", "statement"),
        ("first", "question"),
        ("third", "question"),
    ]
    return [_pair(value, rng, *kinds[number % 4], split, controlled) for number in range(count)]


def _pair(
    value: str,
    rng: random.Random,
    person: Literal["first", "third"],
    form: Literal["statement", "question"],
    split: Split,
    controlled: bool,
) -> Pair:
    rival = rng.choice([other for other in VALUES if other != value])
    topic, name = _setting(rng, person, split, None if controlled else value)
    frame = _frame(rng, form)
    seed = rng.random()
    positive = _shown(topic.action(value), name, frame, seed, rng)
    if not controlled:
        topic, name = _setting(rng, person, split, None)
        frame, seed = _frame(rng, form), rng.random()
    negative = _shown(topic.action(rival), name, frame, seed, rng)
    return Pair(positive, negative, person, form)


def _setting(rng: random.Random, person: str, split: Split, home: str | None) -> tuple[Topic, Name | None]:
    scenes = home_scenes(home) if home else lexicon.SCENES
    topic = lexicon.topics()[lexicon.SCENES.index(rng.choice(scenes)) * 5 + rng.randrange(5)]
    return topic, rng.choice(splits.names_for(topic, split)) if person == "third" else None


def _frame(rng: random.Random, form: str) -> tuple[str, ...]:
    if form == "question":
        ask = rng.choice([frame for frame in frames.group("story.ask") if "{who}" in frame])
        return (ask,)
    first = rng.choice(frames.group("story.act") + frames.group("story.actwhy"))
    return (
        (first,)
        if "{why}" in first or "{wanted}" in first
        else (first, rng.choice(frames.group("story.why")))
    )


def _shown(action: Action, name: Name | None, frame: tuple[str, ...], seed: float, rng: random.Random) -> str:
    person: Person = name.person if name else "I"
    value = lexicon.values()[action.value]
    lines = []
    for number, part in enumerate(frame):
        drive = "want" in part
        reason = rng.choice(value.drives if drive else value.reasons)
        # The same seed picks the same times on both sides of a pair.
        fill = Fill(
            person, name, number == 0, (action,), (reason,), random.Random(f"{seed}{number}"), action.value
        )
        lines.append(write(part, fill))
    return " ".join(lines)
