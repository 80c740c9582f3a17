"""Finds what the dials of a desk name: packs in the library, recipes, and files by their path."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from trimtab.chat.desk import Dial, FileDial
from trimtab.engine.contract import ModelInfo
from trimtab.engine.identity import identity_of
from trimtab.engine.program import Adapter, Classifier
from trimtab.engine.text import clean_line
from trimtab.plugins.errors import LineError
from trimtab.plugins.manager import Plugins
from trimtab.vectors import recipe_choice, recipe_files
from trimtab.vectors.library import Library
from trimtab.vectors.pack import Pack
from trimtab.vectors.pack_files import read_bounded
from trimtab.vectors.pack_import import ImportOptions, bring
from trimtab.vectors.pack_reading import read_pack
from trimtab.vectors.pack_writing import MAX_BYTES
from trimtab.vectors.recipe import Recipe

T = TypeVar("T")


class Sources:
    """For one loaded model. A file is read once, and again when it has changed."""

    def __init__(self, info: ModelInfo, library: Library, plugins: Plugins) -> None:
        self.info = info
        self._model = identity_of(info)
        self._library = library
        self._plugins = plugins
        self._read: dict[tuple[str, Path], tuple[tuple[int, int], object]] = {}

    def of(self, dial: Dial) -> Pack | Recipe:
        """The dial's pack for this model; its recipe where the method asked for can do without a pack."""
        pack = self.pack(dial.value)
        takes = self._plugins.method(dial.method).takes if dial.method else ()
        if pack is not None and (Pack in takes or Recipe not in takes):
            return pack
        if Recipe in takes:
            return recipe_files.find(dial.value, recipe_choice.language_of(self._model))
        raise self._lacking(dial.value)

    def pack(self, value: str) -> Pack | None:
        """The pack in the library that has this name and was made for this model."""
        path = self._library.path(value, self._model.fingerprint)
        return self._once("pack", path, read_pack) if path.is_file() else None

    def vector(self, file: FileDial) -> Pack:
        """An imported vector, by its path, or by its name in the library where it has none."""
        if not file.path:
            found = self.pack(file.name)
            if found is None:
                raise _lost("vector", file)
            return found
        path = Path(file.path).expanduser()
        _same(file, lambda: self._once("digest", path, _digest))
        return self._once("vector", path, self._bring)

    def adapter(self, file: FileDial) -> Adapter:
        if not file.path:
            raise _lost("adapter", file)
        found = self._once("adapter", Path(file.path).expanduser(), Adapter.load)
        _same(file, lambda: found.digest)
        return found

    def classifier(self, file: FileDial, label: str) -> Classifier:
        """What a dial's gate asks; `label` is its value."""
        if not file.path:
            raise _lost("classifier", file)
        found = self._once("classifier", Path(file.path).expanduser(), Classifier.load)
        _same(file, lambda: found.digest)
        return msgspec.structs.replace(found, label=label)

    def _bring(self, path: Path) -> Pack:
        brought = list(bring(path, ImportOptions(model=self._model)))
        if len(brought) != 1:
            raise LineError(
                f"{clean_line(path.name)} holds {len(brought)} packs, and one line steers with one.",
                f"Put them into the library: trimtab pack import {clean_line(str(path))}",
            )
        return brought[0].pack

    def _once(self, kind: str, path: Path, read: Callable[[Path], T]) -> T:
        key, state = (kind, path), _state(path)
        known = self._read.get(key)
        if known is None or known[0] != state:
            known = self._read[key] = (state, read(path))
        found: T = known[1]  # type: ignore[assignment]  # what this kind's reader has read
        return found

    def _lacking(self, value: str) -> LineError:
        recipes = {place.id for place in recipe_files.known()}
        if value in recipes:
            # The built-in model is what is built for when none is named.
            built_in = recipe_choice.language_of(self._model) == recipe_choice.MINNOW
            model = "" if built_in else f" --model {clean_line(self.info.path)}"
            return LineError(
                f"There is no pack for {value} and {self.info.name} yet.",
                f"Build it: trimtab build {value}{model}",
            )
        packs = {entry.name for entry in self._library.entries(self._model.fingerprint)}
        near = difflib.get_close_matches(value, sorted(packs | recipes), 1, 0.6)
        return LineError(
            f"Nothing is called {value}: there is neither a pack nor a recipe of that name.",
            f"Did you mean {near[0]}?" if near else "trimtab recipe list shows what there is.",
        )


def _state(path: Path) -> tuple[int, int]:
    """Changes when the file does; of a folder, when one of its files does."""
    try:
        stats = [each.stat() for each in ((path, *path.iterdir()) if path.is_dir() else (path,))]
    except (OSError, ValueError):
        return (0, 0)  # whoever reads it says what is wrong
    return max(stat.st_mtime_ns for stat in stats), sum(stat.st_size for stat in stats)


def _digest(path: Path) -> str:
    return hashlib.sha256(read_bounded(path, MAX_BYTES)).hexdigest()


def _same(file: FileDial, digest: Callable[[], str]) -> None:
    if file.digest and file.digest != digest():
        raise LineError(f"The file of {file.name} was changed since it was chosen.", "Choose it again.")


def _lost(what: str, file: FileDial) -> LineError:
    return LineError(f"Nobody knows where the {what} {file.name} lies.", "Choose its file.")
