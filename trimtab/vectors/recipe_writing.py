"""Writes a recipe as TOML, one text a line, in the order in which people read it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from trimtab.vectors.recipe import Lists, Recipe, UnrelatedList

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def write(recipe: Recipe) -> str:
    """The file of a recipe, ending with a line break."""
    return "\n".join(_recipe(recipe)) + "\n"


def write_unrelated(shared: UnrelatedList) -> str:
    """The file of a list of unrelated questions."""
    lines = list(_keys(shared, ("id", "name", "language", "source", "licence")))
    return "\n".join([*lines, *_lists(shared, "")]) + "\n"


def _recipe(recipe: Recipe) -> Iterator[str]:
    yield from _keys(recipe, ("id", "name", "meaning", "group", "language", "source", "licence"))
    if recipe.anchors:
        yield from ("", "[anchors]")
        yield f"positive = [{', '.join(map(_text, recipe.anchors.positive))}]"
        yield f"negative = [{', '.join(map(_text, recipe.anchors.negative))}]"
    for pair in recipe.pairs:
        yield from ("", "[[pairs]]")
        yield from _keys(pair, ("person", "form", "positive", "negative"))
    yield from _lists(recipe.questions, "questions.")
    if recipe.unrelated.include:
        yield from ("", "[unrelated]", f"include = [{', '.join(map(_text, recipe.unrelated.include))}]")
    yield from _lists(recipe.unrelated, "unrelated.")


def _keys(part: object, keys: Sequence[str]) -> Iterator[str]:
    for key in keys:
        if value := getattr(part, key):
            yield f"{key} = {_text(value)}"


def _lists(lists: Lists, prefix: str) -> Iterator[str]:
    splits: tuple[tuple[str, Mapping[str, tuple[str, ...]]], ...] = (
        ("validation", lists.validation),
        ("test", lists.test),
    )
    for split, scenes in splits:
        if not scenes:
            continue
        yield from ("", f"[{prefix}{split}]")
        for scene, texts in scenes.items():
            yield f"{scene if _BARE.fullmatch(scene) else _text(scene)} = ["
            yield from (f"  {_text(text)}," for text in texts)
            yield "]"


def _text(text: str) -> str:
    """A basic string: JSON's escapes are TOML's too."""
    return json.dumps(text, ensure_ascii=False)
