"""Finds the models on this machine, and one of them by its name."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trimtab import minnow
from trimtab.engine.model_facts import Glance, glance
from trimtab.engine.text import clean_line
from trimtab.errors import ModelError, TrimtabError
from trimtab.models.places import Place, places

BUILT_IN = "built in"


@dataclass(frozen=True)
class Found:
    """A model as a list shows it; one that cannot be used tells why."""

    name: str
    keeper: str
    path: Path
    glance: Glance | None
    fault: str = ""


def models(*more: Path) -> Iterator[Found]:
    """The built-in ones, ours, those in `more` and those of other programs; each file once, whoever links to it."""
    seen: set[Path] = set()
    for place in (*_built_in(), *places(*more)):
        real = _real(place.path)
        if real not in seen:
            seen.add(real)
            yield _found(place)


def resolve(name: str) -> Path:
    """The path of the model that somebody names: a path, or a name from the list."""
    path = Path(name).expanduser()
    if path.exists() or _looks_like_path(name):
        return path
    known: dict[str, Path] = {}
    for place in (*_built_in(), *places()):
        known.setdefault(name_of(place).casefold(), place.path)
    wanted = name.casefold().removesuffix(".gguf")
    if wanted in known:
        return known[wanted]
    if wanted in minnow.NAMES:
        return minnow.path("gguf", name=wanted)  # raises what is missing
    near = difflib.get_close_matches(wanted, known, 1, 0.5)
    raise ModelError(
        f"There is no model called {clean_line(name)}, and no such file.",
        f"Did you mean {near[0]}?" if near else "`trimtab model list` shows what there is.",
    )


def name_of(place: Place) -> str:
    """What it is called in lists and after `--model`."""
    if place.name:
        return place.name
    return clean_line(place.path.name.removesuffix(".gguf"))


def _built_in() -> Sequence[Place]:
    found = []
    for name in minnow.NAMES:
        for kind in ("gguf", "safetensors"):
            try:
                path = minnow.path(kind, name)
            except ModelError:
                continue
            found.append(Place(path, BUILT_IN, name if kind == "gguf" else f"{name}-safetensors"))
    return found


def _found(place: Place) -> Found:
    name = name_of(place)
    try:
        return Found(name, place.keeper, place.path, glance(place.path))
    except TrimtabError as error:
        return Found(name, place.keeper, place.path, None, error.what)


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except OSError:
        return path


def _looks_like_path(name: str) -> bool:
    return "/" in name or "\\" in name or name.endswith(".gguf") or name.startswith((".", "~"))
