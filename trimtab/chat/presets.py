"""Presets: desks saved under a name, one TOML file each, to be recalled and shared."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import tomllib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from trimtab import locations
from trimtab.chat import cleaning
from trimtab.chat.database import translated
from trimtab.chat.desk import Desk, FileDial, Part
from trimtab.chat.errors import ImportRefused, NotFound
from trimtab.engine.contract import Sampling
from trimtab.errors import TrimtabError

MAX_BYTES = 1 << 20
SUFFIX = ".toml"


class Preset(Part, frozen=True, kw_only=True):
    """A desk, and if wished the system prompt and the sampling that go with it."""

    name: str
    note: str = ""
    system: str | None = None
    sampling: Sampling | None = None
    desk: Desk = Desk()

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "name", cleaning.line(self.name, 80))
        msgspec.structs.force_setattr(self, "note", cleaning.text(self.note))
        if self.system is not None:
            msgspec.structs.force_setattr(self, "system", cleaning.text(self.system))
        if not self.name:
            raise TrimtabError("A preset needs a name.")


@dataclass(frozen=True)
class Presets:
    """The presets in a folder; files that are none are passed over in the list and named when asked for."""

    folder: Path

    @classmethod
    def default(cls) -> Presets:
        return cls(locations.data() / "presets")

    def save(self, preset: Preset) -> Path:
        """In place of the one of that name, whole or not at all."""
        path = self._path(preset.name) or self._free(preset.name)
        unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        with translated(cleaning.line(str(path), 400), None):
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                with unfinished.open("x", encoding="utf-8") as file:
                    file.write(to_toml(preset))
                    file.flush()
                    os.fsync(file.fileno())
                unfinished.replace(path)
            except BaseException:
                with contextlib.suppress(OSError):
                    unfinished.unlink()
                raise
        return path

    def names(self) -> list[str]:
        return sorted({preset.name for _, preset in self._all()}, key=str.casefold)

    def recall(self, name: str) -> Preset:
        found = next((preset for _, preset in self._all() if preset.name == name), None)
        if found is None:
            raise NotFound(f"There is no preset {name!r}.", f"Save one, or put its file into {self.folder}.")
        return found

    def remove(self, name: str) -> None:
        path = self._path(name)
        if path is not None:
            with translated(cleaning.line(str(path), 400), None):
                path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path | None:
        return next((path for path, preset in self._all() if preset.name == name), None)

    def _all(self) -> Iterator[tuple[Path, Preset]]:
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            with contextlib.suppress(TrimtabError):
                yield path, read(path)

    def _free(self, name: str) -> Path:
        """A file name that every system takes, for whatever the preset is called."""
        ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
        stem = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:60] or "preset"
        tries = (f"{stem}{'' if number == 1 else f'-{number}'}{SUFFIX}" for number in range(1, 10_000))
        return next(path for each in tries if not (path := self.folder / each).exists())


def read(path: Path) -> Preset:
    """The preset in a file, anybody's."""
    shown = cleaning.line(str(path), 400)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ImportRefused(f"{shown} cannot be read: {cleaning.line(why)}.", "Check the path.") from error
    if len(content) > MAX_BYTES:
        raise ImportRefused(
            f"{shown} is larger than {MAX_BYTES >> 20} MiB: it is no preset.", "Check the path."
        )
    return from_toml(content, shown)


def from_toml(content: bytes, shown: str = "The file") -> Preset:
    try:
        return msgspec.convert(tomllib.loads(content.decode("utf-8")), Preset)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError, TrimtabError) as error:
        raise ImportRefused(f"{shown} is no preset: {cleaning.line(str(error))}", "Mend the file.") from error
    except RecursionError:
        raise ImportRefused(f"{shown} is no preset: it is nested too deeply.", "Mend the file.") from None


def to_toml(preset: Preset, *, share: bool = False) -> str:
    """The file of a preset; one to be shared tells nobody where files lie on this machine."""
    desk = preset.desk
    if share:
        desk = msgspec.structs.replace(
            desk,
            adapters=_without_paths(desk.adapters),
            vectors=_without_paths(desk.vectors),
            classifier=_without_paths((desk.classifier,))[0] if desk.classifier else None,
        )
    lines = list(_keys(preset, ("name", "note", "system")))
    if preset.sampling is not None:
        lines += ["", "[sampling]", *_keys(preset.sampling)]
    lines += ["", "[desk]", f"silenced = {_value(desk.silenced)}", "", "[desk.anchors]", *_keys(desk.anchors)]
    lines += ["", "[desk.preface]", *_keys(desk.preface)]
    if desk.classifier is not None:
        lines += ["", "[desk.classifier]", *_keys(desk.classifier)]
    for table, parts in (("dials", desk.dials), ("adapters", desk.adapters), ("vectors", desk.vectors)):
        for part in parts:
            lines += ["", f"[[desk.{table}]]", *_keys(part)]
    return "\n".join(lines) + "\n"


def _without_paths(files: tuple[FileDial, ...]) -> tuple[FileDial, ...]:
    return tuple(msgspec.structs.replace(file, path="") for file in files)


def _keys(part: msgspec.Struct, fields: tuple[str, ...] | None = None) -> Iterator[str]:
    for field in msgspec.structs.fields(part):
        value = getattr(part, field.name)
        unsaid = value in ("", ()) and value == field.default
        if value is not None and not unsaid and (fields is None or field.name in fields):
            yield f"{field.name} = {_value(value)}"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, float):
        return repr(value)
    # JSON's escapes are TOML's too.
    return json.dumps(value, ensure_ascii=False)
