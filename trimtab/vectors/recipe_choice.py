"""Which recipes a build takes: those named, or all that speak the model's language."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from trimtab import minnow
from trimtab.engine.identity import ModelIdentity, identify
from trimtab.vectors import recipe_files
from trimtab.vectors.errors import BuildError
from trimtab.vectors.recipe import Recipe

MINNOW = "minnow"
"""What the recipes in the built-in model's own language call it."""


def language_of(model: ModelIdentity) -> str:
    """The language to prefer recipes in: the built-in model knows only its own, of others nothing is known."""
    return MINNOW if model.fingerprint in _built_in() else ""


def chosen(names: Sequence[str], every: bool, language: str) -> list[Recipe]:
    """The recipes named, in the language asked for where there are several, and with `every` all in it."""
    found = {each.id: each for each in (recipe_files.find(name, language) for name in names)}
    if every:
        wanted = language or "en"
        for place in recipe_files.known():
            if place.id in found:
                continue
            recipe = recipe_files.find(place.id, wanted)
            if recipe_files.speaks(recipe.language, wanted):
                found[recipe.id] = recipe
    if not found:
        raise BuildError(f"There is no recipe in {language}.", "trimtab recipe list shows what there is.")
    return list(found.values())


def family(recipes: Sequence[Recipe]) -> list[Recipe]:
    """The other values of these recipes' groups, whose questions teach gates what a value is not."""
    groups = {(recipe.group, recipe.language) for recipe in recipes}
    ids = {recipe.id for recipe in recipes}
    found: dict[str, Recipe] = {}
    for place in recipe_files.known():
        if place.id in ids or place.id in found:
            continue
        for _, language in groups:
            recipe = recipe_files.find(place.id, language)
            if (recipe.group, recipe.language) in groups:
                found[recipe.id] = recipe
    return list(found.values())


@cache
def _built_in() -> frozenset[str]:
    if not minnow.installed():
        return frozenset()
    return frozenset(identify(minnow.path("gguf", name)).fingerprint for name in minnow.NAMES)
