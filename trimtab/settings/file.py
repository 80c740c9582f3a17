"""The settings file: read with clear errors, changed one value at a time, with everything else left as it is."""

from __future__ import annotations

import contextlib
import os
import secrets
import tomllib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from trimtab import locations
from trimtab.engine.text import clean_line
from trimtab.errors import TrimtabError
from trimtab.settings.editing import edited, written
from trimtab.settings.model import Settings, documented

MAX_BYTES = 1 << 20


def default_path() -> Path:
    return locations.config() / "settings.toml"


def read(path: Path | None = None) -> Settings:
    """The settings in a file; all defaults where there is none."""
    place = path or default_path()
    return parse(_content(place), clean_line(str(place)))


def parse(content: str, shown: str = "The settings") -> Settings:
    try:
        return msgspec.convert(tomllib.loads(content), Settings)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise TrimtabError(f"{shown} cannot be used: {clean_line(str(error))}.", "Mend the file.") from error


@dataclass(frozen=True)
class SettingsFile:
    """Where settings are written to."""

    path: Path

    def set(self, group: str, name: str, value: str | float | bool) -> Settings:
        """Changes one setting; comments, order and all else in the file stay. What cannot be is not written."""
        shown = clean_line(str(self.path))
        before = _content(self.path) or template()
        after = edited(before, group, name, value, shown)
        settings = parse(after, shown)
        self._write(after, shown)
        return settings

    def _write(self, content: str, shown: str) -> None:
        unfinished = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with unfinished.open("x", encoding="utf-8", newline="") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                unfinished.replace(self.path)
            except BaseException:
                with contextlib.suppress(OSError):
                    unfinished.unlink()
                raise
        except OSError as error:
            why = clean_line(error.strerror or str(error))
            raise TrimtabError(
                f"{shown} cannot be written: {why}.", "Check its permissions, and the room on the disk."
            ) from error


def template() -> str:
    """A file with every setting at its default, commented out under what it means."""
    lines = ["# Settings of Trimtab. Take the # from the start of a line to change what it sets.", ""]
    group = ""
    for each in documented():
        if each.group != group:
            group = each.group
            lines += [f"[{group}]", ""]
        choices = f" One of {', '.join(each.choices)}." if each.choices else ""
        lines += [f"# {each.meaning}{choices}", f"# {each.name} = {written(each.default)}", ""]
    lines += [
        "[keys]",
        "",
        "# Other keys for commands, by the names that the help screen shows.",
        '# send = "ctrl+s"',
    ]
    return "\n".join(lines) + "\n"


def _content(path: Path) -> str:
    shown = clean_line(str(path))
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise TrimtabError(f"{shown} cannot be read: {clean_line(why)}.", "Check its permissions.") from error
    if len(content) > MAX_BYTES:
        raise TrimtabError(f"{shown} is too large to be a settings file.", "Move it away.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TrimtabError(f"{shown} is not UTF-8 text.", "Save it as UTF-8.") from error
