"""The grammar facts of a written phrase: its verb in every form, its pronouns in every person."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import Any, Literal, get_args

Person = Literal["I", "you", "he", "she"]
Form = Literal["base", "present", "past", "ing"]

PERSONS: tuple[Person, ...] = get_args(Person)

SUBJECT: dict[Person, str] = {"I": "I", "you": "you", "he": "he", "she": "she"}
OBJECT: dict[Person, str] = {"I": "me", "you": "you", "he": "him", "she": "her"}
POSSESSIVE: dict[Person, str] = {"I": "my", "you": "your", "he": "his", "she": "her"}
REFLEXIVE: dict[Person, str] = {"I": "myself", "you": "yourself", "he": "himself", "she": "herself"}

_THIRD = {"be": "is", "do": "does", "go": "goes", "have": "has"}
_ING = {"lie": "lying", "be": "being"}
_SIBILANT = re.compile(r"(?:s|x|z|ch|sh)$")
_CONSONANT_Y = re.compile(r"[^aeiou]y$")
_ADVERBS = frozenset({"never", "always"})
"""Words that may stand before the verb of a phrase and do not bend."""


@cache
def verb(base: str, form: Form, person: Person = "he") -> str:
    """One verb in one form; `present` agrees with the person."""
    if form == "base":
        return base
    if form == "ing":
        return _ing(base)
    if form == "past":
        return _past(base, person)
    if base == "be":
        return {"I": "am", "you": "are"}.get(person, "is")
    return base if person in ("I", "you") else _third(base)


@cache
def phrase(text: str, form: Form, person: Person) -> str:
    """A verb phrase, written in the first person ("paint my own mask"), in another form and person."""
    words = [_person(word, person) for word in text.split()]
    at = 1 if words[0] in _ADVERBS else 0
    words[at] = verb(words[at], form, person)
    return " ".join(words)


def _person(word: str, person: Person) -> str:
    table = {"my": POSSESSIVE, "me": OBJECT, "myself": REFLEXIVE}.get(word)
    return table[person] if table else word


def _third(base: str) -> str:
    if base in _THIRD:
        return _THIRD[base]
    if _SIBILANT.search(base):
        return base + "es"
    return base[:-1] + "ies" if _CONSONANT_Y.search(base) else base + "s"


def _past(base: str, person: Person) -> str:
    if base == "be":
        return "were" if person == "you" else "was"
    if base in _verbs()["past"]:
        return str(_verbs()["past"][base])
    if base in _verbs()["doubling"]:
        return base + base[-1] + "ed"
    if base.endswith("e"):
        return base + "d"
    return base[:-1] + "ied" if _CONSONANT_Y.search(base) else base + "ed"


def _ing(base: str) -> str:
    if base in _ING:
        return _ING[base]
    if base in _verbs()["doubling"]:
        return base + base[-1] + "ing"
    return base[:-1] + "ing" if base.endswith("e") and not base.endswith("ee") else base + "ing"


@cache
def _verbs() -> dict[str, Any]:
    return tomllib.loads(
        resources.files("trimtab.minnow").joinpath("content", "verbs.toml").read_text("utf-8")
    )
