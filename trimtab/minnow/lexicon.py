"""What minnow's language talks about: values, scenes, actions, reasons, names, loaded from the content files."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from trimtab.minnow.inflect import Person

VALUES = (
    "achievement",
    "stimulation",
    "hedonism",
    "self-direction",
    "power",
    "security",
    "tradition",
    "conformity",
    "benevolence",
    "universalism",
)
SCENES = (
    "work",
    "money",
    "family",
    "travel",
    "study",
    "health",
    "sport",
    "food",
    "home",
    "friends",
    "community",
    "leisure",
)
EVENT_PREPOSITIONS = frozenset(
    ("in", "on", "at", "during", "to", "for", "before", "after", "from", "with", "through", "along", "about")
)
"""An event that was just named need not be named again after these."""


@dataclass(frozen=True, slots=True)
class Action:
    """A thing to do, written in the first person, that shows one value in one matter."""

    value: str
    scene: str
    topic: int
    text: str

    @property
    def id(self) -> str:
        return f"{self.value}/{self.scene}/{self.topic}"


@dataclass(frozen=True, slots=True)
class Topic:
    """A matter of life with ten ways to handle it, one for each value: the context that pairs share.

    `pronoun` stands for it once it was named: anywhere if it is a thing (or a person), else only as an object.
    """

    scene: str
    index: int
    about: str
    actions: tuple[Action, ...]
    thing: bool
    pronoun: str

    @property
    def id(self) -> str:
        return f"{self.scene}/{self.index}"

    def action(self, value: str) -> Action:
        return self.actions[VALUES.index(value)]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: a whole clause, or a drive, which is a verb phrase about the person."""

    value: str
    text: str
    drive: bool


@dataclass(frozen=True, slots=True)
class Value:
    """One of the ten basic values and the words that go with it."""

    id: str
    names: tuple[str, ...]
    persons: tuple[str, ...]
    keywords: frozenset[str]
    reasons: tuple[Reason, ...]
    drives: tuple[Reason, ...]
    moods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Name:
    """A first name and the pronoun that goes with it."""

    text: str
    person: Person


@cache
def load(path: str) -> dict[str, Any]:
    """One content file, read once."""
    return tomllib.loads(resources.files("trimtab.minnow").joinpath("content", path).read_text("utf-8"))


@cache
def values() -> dict[str, Value]:
    return {name: _value(load(f"values/{name}.toml")) for name in VALUES}


@cache
def topics() -> tuple[Topic, ...]:
    return tuple(
        _topic(scene, index, table)
        for scene in SCENES
        for index, table in enumerate(load(f"scenes/{scene}.toml")["topic"])
    )


@cache
def names() -> tuple[Name, ...]:
    table = load("names.toml")
    women = [Name(text, "she") for text in table["she"].split()]
    return (*women, *(Name(text, "he") for text in table["he"].split()))


@cache
def actions() -> dict[str, Action]:
    """Every action by its id."""
    return {action.id: action for topic in topics() for action in topic.actions}


def topic_of(action: Action) -> Topic:
    return topics()[SCENES.index(action.scene) * 5 + action.topic]


@cache
def shortened(action: Action) -> str | None:
    """The action as one says it when its topic has just been named: "paint it red", "roast marshmallows all day"."""
    topic = topic_of(action)
    about = topic.about
    before, named, after = action.text.partition(about)
    if not named or about in after or re.match(r"'| of\b| that\b| pond\b", after):
        return None
    *head, preposition = before.split()
    if preposition in ("of", "down", "away"):
        return None
    if not head or topic.thing:
        return before + topic.pronoun + after
    return " ".join(head) + after if preposition in EVENT_PREPOSITIONS else None


def _value(table: dict[str, Any]) -> Value:
    name = table["id"]
    return Value(
        name,
        tuple(table["names"]),
        tuple(table["persons"]),
        frozenset(table["keywords"]),
        tuple(Reason(name, text, False) for text in table["reasons"]),
        tuple(Reason(name, text, True) for text in table["drives"]),
        tuple(table["moods"]),
    )


def _topic(scene: str, index: int, table: dict[str, Any]) -> Topic:
    ways = tuple(Action(value, scene, index, table[value]) for value in VALUES)
    return Topic(scene, index, table["about"], ways, table.get("thing", False), table.get("pronoun", "it"))
