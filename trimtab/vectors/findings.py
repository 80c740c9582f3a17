"""What a check of a recipe reports, and the sheet of words that the checks work on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import comb
from typing import Literal

import msgspec

from trimtab.engine.text import clean_line
from trimtab.vectors.recipe import Recipe, UnrelatedList
from trimtab.vectors.recipe_reading import describe
from trimtab.vectors.toml_places import Path as Entry
from trimtab.vectors.toml_places import Places
from trimtab.vectors.words import words

Severity = Literal["problem", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("problem", "warning", "note")
NAMED = 6
"""So many entries are named one by one, of more only the number."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something to mend: a problem spoils what is built from the recipe, a warning weakens it, a note tells."""

    severity: Severity
    check: str
    where: str
    what: str
    mend: str


@dataclass(frozen=True)
class Sheet:
    """A recipe taken apart into words, with the lines of its entries where they are known."""

    recipe: Recipe
    places: Places | None = None
    shared: tuple[UnrelatedList, ...] = ()
    """The lists of unrelated questions that the recipe includes."""

    @cached_property
    def positive(self) -> list[list[str]]:
        return [words(pair.positive) for pair in self.recipe.pairs]

    @cached_property
    def negative(self) -> list[list[str]]:
        return [words(pair.negative) for pair in self.recipe.pairs]

    def where(self, *entry: str | int) -> str:
        return describe(entry, self.places)

    def pairs(self, numbers: Sequence[int]) -> str:
        """Several pairs: "pairs 3, 17 (lines 40, 171)"."""
        if len(numbers) == 1:
            return self.where("pairs", numbers[0])
        return self.several("pairs", [("pairs", number) for number in numbers])

    def several(self, what: str, entries: Sequence[Entry]) -> str:
        """Entries of one list by their numbers and lines, not all of them where they are many."""
        shown = entries[:NAMED]
        said = f"{what} {_listed([int(entry[-1]) + 1 for entry in shown], len(entries))}"
        lines = [self.places.line(entry) for entry in shown] if self.places else []
        known = [line for line in lines if line]
        return f"{said} (lines {_listed(known, len(entries))})" if known else said


def unlikely(one: int, other: int, level: float = 0.01) -> bool:
    """Whether two counts that chance would make alike are too far apart for chance: an exact sign test."""
    total, most = one + other, max(one, other)
    tail = sum(comb(total, count) for count in range(most, total + 1))
    return bool(tail / 2**total < level / 2)


def excerpt(text: str, length: int = 60) -> str:
    """The beginning of a text, for a report."""
    line = clean_line(text)
    return f"“{line}”" if len(line) <= length else f"“{line[:length].rstrip()}…”"


def counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _listed(numbers: Iterable[int], total: int) -> str:
    shown = list(numbers)
    return ", ".join(map(str, shown)) + (" …" if total > len(shown) else "")
