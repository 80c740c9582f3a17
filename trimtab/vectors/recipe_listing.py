"""Lists the recipes that are here, for people and for machines."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from trimtab.engine.text import clean
from trimtab.vectors.errors import RecipeError
from trimtab.vectors.recipe import Recipe
from trimtab.vectors.recipe_files import Origin, known, speaks
from trimtab.vectors.recipe_reading import read_file


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One recipe's file in a list; `trouble` says why it cannot be read."""

    id: str
    origin: Origin
    path: str
    name: str = ""
    group: str = ""
    language: str = ""
    pairs: int = 0
    questions: int = 0
    trouble: str = ""


def listing(language: str = "") -> list[Row]:
    """Every recipe, or those in one language; what cannot be read is always among them."""
    rows = []
    for place in known():
        path = str(place.path)
        try:
            recipe = read_file(place.path, Recipe)
        except RecipeError as error:
            rows.append(Row(id=place.id, origin=place.origin, path=path, trouble=str(error)))
            continue
        if language and not speaks(recipe.language, language):
            continue
        questions = len(recipe.questions.of("validation")) + len(recipe.questions.of("test"))
        rows.append(
            Row(
                id=place.id, origin=place.origin, path=path, name=recipe.name, group=recipe.group,
                language=recipe.language, pairs=len(recipe.pairs), questions=questions,
            )
        )  # fmt: skip
    return rows


def render(rows: Sequence[Row]) -> str:
    """A table; a recipe of yours that hides a shipped one of its language says so."""
    if not rows:
        return "There are no recipes. Start one: trimtab recipe new ID"
    cells = [("ID", "LANGUAGE", "GROUP", "PAIRS", "QUESTIONS", "WHOSE", "")]
    first: dict[tuple[str, str], Origin] = {}
    for row in rows:
        hidden = first.setdefault((row.id, row.language), row.origin) != row.origin and not row.trouble
        remark = row.trouble or ("hidden by yours" if hidden else "")
        cells.append(
            (
                row.id,
                row.language,
                row.group,
                str(row.pairs or ""),
                str(row.questions or ""),
                row.origin,
                remark,
            )
        )
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]) - 1)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in cells
    ]
    return clean("\n".join(lines))


def to_json(rows: Sequence[Row]) -> str:
    return msgspec.json.format(msgspec.json.encode(list(rows)), indent=2).decode()
