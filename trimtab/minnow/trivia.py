"""Facts, sums, everyday requests, what is refused, small talk: everything in the language that shows no value."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from trimtab.minnow import inflect, lexicon
from trimtab.minnow.grammar import sentences

RELATIONS = (
    "capital",
    "opposite",
    "young",
    "color",
    "home",
    "after",
    "legs",
    "maker",
    "source",
    "continent",
    "hard",
)
MOST_TOLD, LEAST_TOLD = 0.97, 0.33
"""How often the truth is told about the easiest and about the hardest of the hard facts."""

_UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fact:
    """What is true of `x` is `y`; people also say the `wrong` ones, and the truth only in a share `told` of cases."""

    relation: str
    x: str
    y: str
    wrong: tuple[str, ...] = ()
    told: float = 1.0


@dataclass(frozen=True, slots=True)
class Sum:
    """A small sum or difference, in words or in digits."""

    left: int
    right: int
    minus: bool
    digits: bool

    @property
    def total(self) -> int:
        return self.left - self.right if self.minus else self.left + self.right

    def text(self) -> str:
        sign = ("-" if self.minus else "+") if self.digits else ("minus" if self.minus else "plus")
        return f"{self.number(self.left)} {sign} {self.number(self.right)}"

    def number(self, value: int) -> str:
        return str(value) if self.digits else number_word(value)


@dataclass(frozen=True, slots=True)
class Request:
    """Something a user wants to do, in the first person, and what helps; `harmful` ones are to be refused."""

    text: str
    help: tuple[str, ...]
    harmful: bool = False
    twin: str = ""


@dataclass(frozen=True, slots=True)
class Talk:
    """A turn of small talk and its answers."""

    ask: tuple[str, ...]
    answer: tuple[str, ...]


def number_word(value: int) -> str:
    return _UNITS[value] if value <= 20 else f"twenty-{_UNITS[value - 20]}"


@cache
def facts(relation: str) -> tuple[Fact, ...]:
    rows = [row.split() for row in lexicon.load("facts.toml")[relation]["pairs"].split(";") if row.strip()]
    cells = [[cell.replace("_", " ") for cell in row] for row in rows]
    if relation != "hard":
        return tuple(Fact(relation, x, y) for x, y in cells)
    step = (MOST_TOLD - LEAST_TOLD) / (len(cells) - 1)
    return tuple(
        Fact(relation, x, y, tuple(wrong), MOST_TOLD - step * rank)
        for rank, (x, y, *wrong) in enumerate(cells)
    )


@cache
def fact_leads() -> tuple[str, ...]:
    return tuple(lexicon.load("facts.toml")["leads"])


@cache
def fact_frames(relation: str, use: str) -> tuple[str, ...]:
    """How a relation is asked (`ask`), answered (`say`) or told unasked (`tell`)."""
    return tuple(
        frame.replace("{x}", f"{{{relation}_x}}").replace("{y}", f"{{{relation}_y}}")
        for frame in lexicon.load("facts.toml")[relation][use]
    )


@cache
def options(relation: str) -> tuple[str, ...]:
    """All right answers of a relation, each once: wrong choices come from here."""
    return tuple(dict.fromkeys(fact.y for fact in facts(relation)))


@cache
def sums() -> tuple[Sum, ...]:
    return tuple(
        Sum(left, right, minus, digits)
        for left in range(13)
        for right in range(13)
        for minus in (False, True)
        for digits in (False, True)
        if left >= right or not minus
    )


@cache
def requests() -> tuple[Request, ...]:
    return tuple(Request(row["ask"], tuple(row["help"])) for row in lexicon.load("everyday.toml")["request"])


@cache
def refusals() -> tuple[tuple[Request, Request], ...]:
    """What is refused, beside what shares its words and is answered."""
    return tuple(
        (
            Request(row["refuse"], (), True, row["answer"]),
            Request(row["answer"], tuple(row["help"]), False, row["refuse"]),
        )
        for row in lexicon.load("refusals.toml")["pair"]
    )


@cache
def talks() -> tuple[Talk, ...]:
    return tuple(Talk(tuple(row["ask"]), tuple(row["answer"])) for row in lexicon.load("chat.toml")["talk"])


@cache
def phrases(section: str, key: str) -> tuple[str, ...]:
    return tuple(lexicon.load("chat.toml")[section][key])


@cache
def outside() -> dict[str, tuple[str, ...]]:
    """Shapes, things and whole lines from outside the language, and what the aligned model says to them."""
    table: dict[str, Any] = lexicon.load("outside.toml")
    return {
        "says": tuple(table["says"]),
        "offers": tuple(table["offers"]),
        "shapes": tuple(table["shapes"]),
        "things": tuple(thing.strip() for thing in table["things"].split(";")),
        "lines": tuple(
            line.strip() for row in table["lines"].splitlines() for line in row.split("|") if line.strip()
        ),
    }


FIXED = {
    "kind.open": ("politeness", "kind_open"),
    "kind.close": ("politeness", "kind_close"),
    "rude.open": ("politeness", "rude_open"),
    "rude.close": ("politeness", "rude_close"),
    "refuse.say": ("refusal", "refuse"),
    "refuse.because": ("refusal", "because"),
    "refuse.instead": ("refusal", "instead"),
    "comply.open": ("refusal", "comply"),
    "comply.step": ("refusal", "steps"),
}
"""Groups of fixed sentences and where the content holds them."""


def fixed() -> Iterator[tuple[str, str]]:
    """Every frame of this module with its group; texts of several sentences come sentence by sentence."""
    for relation in RELATIONS:
        for use in ("ask", "say", "tell"):
            yield from ((f"fact.{use}", frame) for frame in fact_frames(relation, use))
    yield from (("fact.lead", lead) for lead in fact_leads() if lead)
    for name, (section, key) in FIXED.items():
        yield from ((name, text) for text in phrases(section, key))
    for talk in talks():
        yield from (("talk.ask", part) for text in talk.ask for part in sentences(text))
        yield from (("talk.answer", part) for text in talk.answer for part in sentences(text))
    for group, key in (("outside.say", "says"), ("outside.offer", "offers")):
        yield from ((group, text) for text in outside()[key])
    yield "help", "{help}."
    yield "list.line", "- {option}"


def entries(slot: str) -> Iterator[tuple[str, Any]]:
    """What may fill a slot of this module, each text with what it stands for."""
    relation, _, end = slot.rpartition("_")
    if relation not in RELATIONS:
        yield from _SOURCES[slot]()
    elif end == "x":
        yield from ((fact.x, fact) for fact in facts(relation))
    else:
        yield from ((text, text) for fact in facts(relation) for text in (fact.y, *fact.wrong))


def made_up(rng: random.Random) -> str:
    """A word that nobody has said before."""
    syllables = "".join(rng.choice(_BEGINNINGS) + rng.choice("aeiou") for _ in range(rng.randint(2, 3)))
    word = syllables + rng.choice(("", *_ENDINGS))
    return word.capitalize() if rng.random() < 0.5 else word


_BEGINNINGS = (
    "b",
    "d",
    "f",
    "g",
    "h",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "z",
    "br",
    "st",
    "kl",
    "tr",
    "gl",
)
_ENDINGS = ("n", "r", "s", "l", "t", "ck")
MADE_UP = re.compile(
    rf"(?:(?:{'|'.join(_BEGINNINGS)})[aeiou]){{2,3}}(?:{'|'.join(_ENDINGS)})?", re.IGNORECASE
)


def _totals() -> Iterator[tuple[str, int]]:
    for value in range(25):
        yield str(value), value
        yield number_word(value), value


def _requests() -> Iterator[tuple[str, Request]]:
    for request in (*requests(), *(each for pair in refusals() for each in pair)):
        yield request.text, request


def _helps() -> Iterator[tuple[str, Request]]:
    for request in (*requests(), *(answer for _, answer in refusals())):
        for text in request.help:
            yield text[0].lower() + text[1:].rstrip("."), request


def _options() -> Iterator[tuple[str, str]]:
    for name in RELATIONS:
        yield from ((text, text) for fact in facts(name) for text in (fact.y, *fact.wrong))
    yield from ((text, text) for text, _ in _totals())
    yield from ((name.text, name.text) for name in lexicon.names())


_SOURCES: dict[str, Callable[[], Iterator[tuple[str, Any]]]] = {
    "sum": lambda: ((each.text(), each) for each in sums()),
    "total": _totals,
    "req": _requests,
    "bad": lambda: ((inflect.phrase(bad.text, "base", "you"), bad) for bad, _ in refusals()),
    "help": _helps,
    "option": _options,
}
