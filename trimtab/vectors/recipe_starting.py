"""Starts a recipe: writes the commented example and its schema where the user wants them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trimtab.engine.text import clean_line
from trimtab.vectors import schema
from trimtab.vectors.errors import RecipeError
from trimtab.vectors.recipe import parse
from trimtab.vectors.recipe_example import SCHEMA_FILE, example
from trimtab.vectors.recipe_files import known, own_folder


@dataclass(frozen=True, slots=True)
class Started:
    """A new file, how to name it to commands, and what its writer should know."""

    path: Path
    name: str
    remarks: tuple[str, ...]


def starting_text(id: str) -> str:
    """The commented example under an id; refuses what cannot be an id."""
    text = example(id) if "\n" not in id and '"' not in id and "\\" not in id else ""
    try:
        parse(text, "recipe")
    except RecipeError:
        raise RecipeError(
            f"`{clean_line(id)}` cannot be a recipe's id.",
            "Use lower case letters, digits and hyphens, such as self-direction.",
        ) from None
    return text


def start(id: str, out: Path | None) -> Started:
    """Writes the file, never over another one."""
    text = starting_text(id)
    path = (own_folder() if out is None else out.expanduser()) / f"{id}.toml"
    if out is not None and out.suffix == ".toml" and not out.is_dir():
        path = out.expanduser()
    remarks = []
    if out is None and any(place.id == id and place.origin == "shipped" for place in known()):
        remarks.append(f"There is a shipped recipe called {id}; yours now comes first.")
    if path.stem != id:
        remarks.append(f"It is not called {id}.toml, so it is found by its path only.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
        beside = path.parent / SCHEMA_FILE
        if not beside.exists():
            beside.write_text(schema.shipped(), encoding="utf-8", newline="\n")
            remarks.append(f"Beside it lies {SCHEMA_FILE}, by which editors check it while you write.")
    except FileExistsError:
        raise RecipeError(
            f"{clean_line(str(path))} is already there.", "Edit it, or choose another place with --out."
        ) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RecipeError(
            f"{clean_line(str(path))} cannot be written: {reason}.", "Choose another place with --out."
        ) from error
    return Started(path, id if out is None else str(path), tuple(remarks))
