"""Finds recipes by id or path: the user's own first, then the shipped ones, then those for minnow's language."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

import msgspec

from trimtab import locations
from trimtab.engine.text import clean_line
from trimtab.vectors.errors import RecipeError
from trimtab.vectors.recipe import Recipe, Unrelated, UnrelatedList
from trimtab.vectors.recipe_reading import read_file

Origin = Literal["yours", "shipped", "minnow"]

_SUFFIX = ".toml"
_SHARED = "unrelated"
"""The folder of the shared lists, within each folder of recipes."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a recipe lies, and whose it is."""

    id: str
    path: Path
    origin: Origin


@dataclass(frozen=True, slots=True)
class Found:
    """A recipe with its place."""

    recipe: Recipe
    place: Place


def own_folder() -> Path:
    """Where the user's recipes are found by their id."""
    return locations.data() / "recipes"


def folders() -> dict[Origin, Path]:
    """All folders of recipes, the first wins."""
    return {
        "yours": own_folder(),
        "shipped": _package("vectors"),
        "minnow": _package("minnow"),
    }


def known() -> list[Place]:
    """Every recipe's file, whether it can be read or not, by folder and id."""
    return [
        Place(path.stem, path, origin)
        for origin, folder in folders().items()
        for path in sorted(_files(folder))
    ]


def find(name: str | Path, language: str = "") -> Recipe:
    """A recipe by its id or its path; of several with one id, the first in the language asked for, else the first."""
    return locate(name, language).recipe


def locate(name: str | Path, language: str = "") -> Found:
    """The same, with where it lies."""
    if _is_path(name):
        path = Path(name).expanduser()
        return Found(read_file(path, Recipe), Place(path.stem, path, "yours"))
    places = [place for place in known() if place.id == name]
    if not places:
        raise _unknown(str(name), sorted({place.id for place in known()}))
    if language:
        for found in map(_read, places):
            if speaks(found.recipe.language, language):
                return found
    return _read(places[0])


def complete(recipe: Recipe) -> Recipe:
    """The recipe with the lists that it includes written out among its unrelated questions.

    What is built from a recipe depends on those lists too: the digest of the complete recipe covers all of it.
    """
    own = recipe.unrelated
    validation, test = dict(own.validation), dict(own.test)
    for name in own.include:
        shared = find_unrelated(name)
        for mine, theirs in ((validation, shared.validation), (test, shared.test)):
            for scene, texts in theirs.items():
                mine[scene] = (*mine.get(scene, ()), *texts)
    return msgspec.structs.replace(recipe, unrelated=Unrelated(validation=validation, test=test))


def find_unrelated(name: str) -> UnrelatedList:
    """A shared list of unrelated questions by its id."""
    known = [path for folder in folders().values() for path in _files(folder / _SHARED)]
    for path in known:
        if path.stem == name:
            return read_file(path, UnrelatedList)
    raise RecipeError(
        f"There is no list of unrelated questions called {clean_line(name)}.",
        f"Known: {', '.join(sorted({path.stem for path in known})) or 'none'}.",
    )


def speaks(language: str, asked: str) -> bool:
    """Whether a text in one language serves where another is asked for: regions do not matter."""
    return language.partition("-")[0] == asked.partition("-")[0]


def _read(place: Place) -> Found:
    recipe = read_file(place.path, Recipe)
    if recipe.id != place.id:
        raise RecipeError(
            f"{clean_line(str(place.path))} calls itself {recipe.id}.",
            f"Rename the file to {recipe.id}{_SUFFIX}, or change its id.",
        )
    return Found(recipe, place)


def _is_path(name: str | Path) -> bool:
    return isinstance(name, Path) or name.endswith(_SUFFIX) or "/" in name or os.sep in name


def _files(folder: Path) -> Iterator[Path]:
    try:
        yield from (path for path in folder.iterdir() if path.suffix == _SUFFIX and path.is_file())
    except OSError:
        return  # a folder that is not there holds no recipes


def _package(part: str) -> Path:
    """The recipes within a part of Trimtab, which is not imported for it."""
    return Path(str(resources.files("trimtab"))) / part / "recipes"


def _unknown(name: str, ids: Iterable[str]) -> RecipeError:
    known = list(ids)
    near = difflib.get_close_matches(name, known, 1, 0.6)
    if Path(name).suffix or Path(name).exists():
        hint = "Is it a file? Then write its path with .toml at the end."
    elif near:
        hint = f"Did you mean {near[0]}?"
    else:
        hint = (
            f"Known: {', '.join(known) or 'none'}. A file is named with its ending: {clean_line(name)}.toml"
        )
    return RecipeError(f"There is no recipe called {clean_line(name)}.", hint)
