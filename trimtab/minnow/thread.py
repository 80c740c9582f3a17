"""The thread of a document: one value, one person, and what has been used already so that nothing repeats."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TypeVar

from trimtab.minnow import lexicon, splits
from trimtab.minnow.grammar import Fill, write
from trimtab.minnow.inflect import Person
from trimtab.minnow.lexicon import SCENES, VALUES, Action, Name, Reason, Topic
from trimtab.minnow.splits import Split

T = TypeVar("T")
RECENT = 9
"""A frame is not used again within so many sentences, where there is another."""
LADEN = {
    "story.act": 0.4,
    "story.plan": 0.4,
    "story.end": 0.4,
    "story.why": 0.6,
    "story.belief": 0.6,
    "story.assent": 0.6,
    "story.because": 0.5,
    "lean.why": 0.6,
    "lean.first": 0.7,
}
"""How often a sentence begins with a reason by itself or with a mood, so that the very next word after a sentence tells
the value: what a model must have at hand there it holds where it can be read and moved."""
_NEEDS_NAME = re.compile(r"\{(?:who|third)")
_LADEN = re.compile(r"\{(?:why|mood)\}")
_DRIVE = re.compile(r"\{(?:third_)?want")


@dataclass(slots=True)
class Thread:
    """What runs through a document. `home` is how often stories stay in the scenes that belong to their value."""

    rng: random.Random
    split: Split
    value: str
    name: Name | None = None
    person: Person = "he"
    home: float = 0.0
    topics: set[str] = field(default_factory=set)
    reasons: set[str] = field(default_factory=set)
    recent: list[str] = field(default_factory=list)

    def topic(self, *, weighed: bool = False) -> Topic:
        """A matter not yet spoken of; `weighed` ones offer a pairing of this split for the value."""
        at_home = self.rng.random() < self.home
        scenes = home_scenes(self.value) if at_home else SCENES
        topic = lexicon.topics()[0]
        for attempt in range(200):
            scene = scenes[int(self.rng.random() * len(scenes))]
            topic = lexicon.topics()[SCENES.index(scene) * 5 + int(self.rng.random() * 5)]
            if topic.id in self.topics and attempt < 150:
                continue
            if weighed and not splits.pairings_with(topic, self.value, self.split):
                continue
            if self.name and splits.of_combination(self.name, topic) != self.split:
                continue
            break
        self.topics.add(topic.id)
        return topic

    def rival(self, topic: Topic) -> Action:
        """An action of another value that may be weighed against this thread's."""
        return self.choice(splits.pairings_with(topic, self.value, self.split))[1]

    def reason(self, value: str, *, drive: bool = False) -> Reason:
        """A reason of a value that this document has not given."""
        every = lexicon.values()[value].drives if drive else lexicon.values()[value].reasons
        reason = self.choice(every)
        for _ in range(12):
            if reason.text not in self.reasons:
                break
            reason = self.choice(every)
        self.reasons.add(reason.text)
        return reason

    def choice(self, options: Sequence[T]) -> T:
        return options[int(self.rng.random() * len(options))]

    def line(
        self,
        group: str,
        *actions: Action,
        person: Person | None = None,
        named: bool = False,
        introduces: bool = False,
        alone: bool = False,
        value: str | None = None,
    ) -> str:
        """A sentence (or several, "|" between) of a group. `introduces` wants a frame that can name the person,
        `alone` one that speaks of no person, a `value` other than the thread's is named for it."""
        laden = group in LADEN and self.rng.random() < LADEN[group]
        options = _options(group, self.split, introduces, alone, laden)
        frame = options[0] if len(options) == 1 else self._frame(options, actions)
        return self.fill(frame, actions, person or self.person, named, value or self.value)

    def _frame(self, options: tuple[str, ...], actions: tuple[Action, ...]) -> str:
        """A frame that was not used just now, and that does not name a topic which the actions must name again."""
        wordy = any(_names_topic(action) for action in actions)
        frame = self.choice(options)
        for _ in range(12):
            if frame not in self.recent and not (wordy and "{about}" in frame):
                break
            frame = self.choice(options)
        self.recent.append(frame)
        del self.recent[:-RECENT]
        return frame

    def fill(self, frame: str, actions: tuple[Action, ...], person: Person, named: bool, value: str) -> str:
        parts = []
        for part in frame.split("|"):
            drive = bool(_DRIVE.search(part))
            owners = [action.value for action in actions] or [value]
            reasons = tuple(self.reason(owner, drive=drive) for owner in owners[: _reasons_in(part)])
            if "{why" in part and not reasons:
                reasons = (self.reason(value),)
            fill = Fill(person, self.name, named, actions, reasons, self.rng, value)
            parts.append(write(part, fill))
            named = False
        return " ".join(parts)


@cache
def _names_topic(action: Action) -> bool:
    return lexicon.topic_of(action).about in action.text and lexicon.shortened(action) is None


@cache
def home_scenes(value: str) -> tuple[str, ...]:
    """The two scenes in which a value's stories play when values and scenes are made to go together."""
    at = VALUES.index(value)
    return SCENES[at], SCENES[(at + 5) % len(SCENES)]


def spread(rng: random.Random, split: Split) -> Name:
    """A name for a document of a split: from validation and test only the names that are theirs alone."""
    names = splits.names(split)
    return names[int(rng.random() * len(names))]


@cache
def _options(group: str, split: Split, introduces: bool, alone: bool, laden: bool) -> tuple[str, ...]:
    every = splits.frames_for(group, split)
    if introduces:
        every = tuple(frame for frame in every if _NEEDS_NAME.search(frame.split("|")[0]))
    if alone:
        every = tuple(frame for frame in every if not re.search(r"\{(?:he|him|his|v_|wants?|wanted)", frame))
    begun = tuple(frame for frame in every if _LADEN.match(frame))
    return begun if laden and begun else every


@cache
def _reasons_in(part: str) -> int:
    digits = [int(digit or 1) for digit in re.findall(r"\{why(\d?)\}", part)]
    return max(digits, default=1 if _DRIVE.search(part) else 0)
