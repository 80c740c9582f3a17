"""The packs on this machine: a folder for each model, each pack a file, changed whole or not at all."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from trimtab import locations
from trimtab.engine.text import clean_line
from trimtab.errors import TrimtabError
from trimtab.vectors.library_lock import locked
from trimtab.vectors.pack import Pack
from trimtab.vectors.pack_errors import LibraryError
from trimtab.vectors.pack_files import UNFINISHED, write_atomically
from trimtab.vectors.pack_reading import read_pack
from trimtab.vectors.pack_writing import to_bytes

_SUFFIX = ".gguf"
_LOCK = ".lock"
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LONGEST = 64
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
"""No file can be called so on Windows, whatever its ending."""


@dataclass(frozen=True)
class Entry:
    """A pack's place in the library; one that cannot be read tells why."""

    name: str
    fingerprint: str
    path: Path
    pack: Pack | None
    fault: str = ""


class Library:
    """Reading needs no lock: a file is there whole or not at all."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = locations.data() / "packs" if root is None else root

    def entries(self, fingerprint: str | None = None) -> list[Entry]:
        """Every pack, or those of one model, by model and name; one that cannot be read spoils no list."""
        return [_entry(path) for path in self._files(fingerprint)]

    def find(self, name: str, fingerprint: str | None = None) -> Entry:
        """The pack of this name, of any model if only one has it."""
        found = [path for path in self._files(fingerprint) if path.stem == name]
        if not found:
            raise self._unknown(name, fingerprint)
        if len(found) > 1:
            raise LibraryError(
                f"{len(found)} models have a pack called {clean_line(name)}.", "Say which with --model FILE."
            )
        return _entry(found[0])

    def read(self, name: str, fingerprint: str | None = None) -> Pack:
        """The pack itself; raises what is wrong with it."""
        entry = self.find(name, fingerprint)
        return entry.pack if entry.pack is not None else read_pack(entry.path)

    def path(self, name: str, fingerprint: str) -> Path:
        """Where the pack of this name and model lies, or would."""
        _check_name(name)
        return self.root / fingerprint / f"{name}{_SUFFIX}"

    def add(self, pack: Pack, name: str = "", *, replace: bool = False) -> Entry:
        """Puts the pack among those of its model, under its value's id if no other name is given."""
        name = name or pack.value
        path = self.path(name, pack.model.fingerprint)
        data = to_bytes(pack)
        with self._changing():
            if path.exists() and not replace and _content(path) != data:
                raise LibraryError(
                    f"There is another pack called {name} for {pack.model.name}.",
                    "Replace it with --replace, or give this one another name with --as NAME.",
                )
            write_atomically(path, data)
        return Entry(name, pack.model.fingerprint, path, pack)

    def remove(self, name: str, fingerprint: str | None = None) -> Entry:
        """Takes the pack away, and its model's folder if it was the last there."""
        with self._changing():
            entry = self.find(name, fingerprint)
            entry.path.unlink(missing_ok=True)
            with suppress(OSError):
                entry.path.parent.rmdir()
        return entry

    def sweep(self) -> int:
        """Takes away what writers that were killed have left; how many files that were."""
        with self._changing(sweep=False):
            return self._sweep()

    @contextmanager
    def _changing(self, *, sweep: bool = True) -> Iterator[None]:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with locked(self.root / _LOCK):
                if sweep:
                    self._sweep()
                yield
        except OSError as error:
            why = clean_line(error.strerror or str(error))
            raise LibraryError(
                f"The library of packs at {clean_line(str(self.root))} cannot be changed: {why}.",
                "Check its permissions and the disk, or set TRIMTAB_HOME to another folder.",
            ) from error

    def _sweep(self) -> int:
        # Whoever holds the lock is the only writer: nothing unfinished is anybody's any more.
        left = [path for path in self.root.glob(f"*/.*{UNFINISHED}") if path.is_file()]
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)

    def _files(self, fingerprint: str | None) -> list[Path]:
        """By folder and name, whatever else lies about left alone."""
        try:
            folders = [
                folder
                for folder in sorted(self.root.iterdir())
                if _FINGERPRINT.fullmatch(folder.name)
                and fingerprint in (None, folder.name)
                and folder.is_dir()
            ]
            return [
                path
                for folder in folders
                for path in sorted(folder.iterdir(), key=lambda path: path.stem)
                if path.suffix == _SUFFIX and _NAME.fullmatch(path.stem)
            ]
        except FileNotFoundError:
            return []
        except OSError as error:
            why = clean_line(error.strerror or str(error))
            raise LibraryError(
                f"The library of packs at {clean_line(str(self.root))} cannot be read: {why}.",
                "Check its permissions.",
            ) from error

    def _unknown(self, name: str, fingerprint: str | None) -> LibraryError:
        known = sorted({path.stem for path in self._files(fingerprint)})
        near = difflib.get_close_matches(name, known, 1, 0.6)
        if near:
            hint = f"Did you mean {near[0]}?"
        elif known:
            hint = f"There are: {', '.join(known[:20])}{' …' if len(known) > 20 else ''}."
        else:
            hint = "There are none: make one with trimtab build, or bring one with trimtab pack import."
        whose = " for this model" if fingerprint else ""
        return LibraryError(f"There is no pack called {clean_line(name)}{whose}.", hint)


def _entry(path: Path) -> Entry:
    fingerprint = path.parent.name
    try:
        pack = read_pack(path)
    except TrimtabError as error:
        return Entry(path.stem, fingerprint, path, None, str(error))
    if pack.model.fingerprint != fingerprint:
        fault = f"It lies among the packs of another model; it was made for {pack.model.name}."
        return Entry(path.stem, fingerprint, path, None, fault)
    return Entry(path.stem, fingerprint, path, pack)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST or name in _DEVICES:
        raise LibraryError(
            f"A pack cannot be called {clean_line(name)[:80]!r}.",
            f"Use lower case letters, digits and hyphens, {_LONGEST} at most, and no device's name such as con.",
        )
