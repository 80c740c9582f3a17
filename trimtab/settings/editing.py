"""Changes one value in a TOML file and leaves every other character as it is."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

from trimtab.errors import TrimtabError

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_TABLE = re.compile(r"^\s*\[(?P<name>[^\[\]]+)\]\s*(#.*)?$")
_COMMENTED = r"^\s*#\s*{name}\s*="


def edited(content: str, table: str, name: str, value: str | float | bool, shown: str) -> str:
    """The file with `name = value` in `[table]`; refused where the file is laid out too oddly to be sure."""
    wanted = _loaded(content, shown)
    inner = wanted.setdefault(table, {})
    if not isinstance(inner, dict):
        raise _odd(shown, table, name, value)
    inner[name] = value
    new = _changed(content, table, name, written(value))
    try:
        sure = tomllib.loads(new) == wanted
    except tomllib.TOMLDecodeError:
        sure = False
    if not sure:
        raise _odd(shown, table, name, value)
    return new


def written(value: str | float | bool) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are TOML's too, but for DEL, which TOML does not take as it is.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def _changed(content: str, table: str, name: str, value: str) -> str:
    ending = "\r\n" if "\r\n" in content else "\n"
    lines = content.splitlines(keepends=True)
    key = name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)
    start = next((at for at, line in enumerate(lines) if _names(line, table)), None)
    if start is None:
        gap = ending if content and not content.endswith(("\n\n", "\r\n\r\n")) else ""
        first = ending if content and not content.endswith("\n") else ""
        return f"{content}{first}{gap}[{table}]{ending}{key} = {value}{ending}"
    end = next((at for at in range(start + 1, len(lines)) if lines[at].lstrip().startswith("[")), len(lines))
    assignment = re.compile(
        rf"^(?P<before>\s*(?:{re.escape(key)}|{re.escape(json.dumps(name))})\s*=\s*)"
        r"(?P<value>\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\s#]+)(?P<after>\s*(?:#.*)?)$"
    )
    for at in range(start + 1, end):
        found = assignment.match(lines[at].rstrip("\r\n"))
        if found is not None:
            tail = lines[at][len(lines[at].rstrip("\r\n")) :]
            lines[at] = f"{found['before']}{value}{found['after']}{tail}"
            return "".join(lines)
    lines.insert(_place(lines, start, end, key), f"{key} = {value}{ending}")
    return "".join(lines)


def _place(lines: list[str], start: int, end: int, key: str) -> int:
    """After the line that shows the default in a comment, or else at the table's end."""
    commented = re.compile(_COMMENTED.format(name=re.escape(key)))
    for at in range(start + 1, end):
        if commented.match(lines[at]):
            return at + 1
    at = end
    while at > start + 1 and not lines[at - 1].strip():
        at -= 1
    if not lines[at - 1].endswith("\n"):
        lines[at - 1] += "\n"
    return at


def _names(line: str, table: str) -> bool:
    found = _TABLE.match(line.rstrip("\r\n"))
    return found is not None and found["name"].strip() == table


def _loaded(content: str, shown: str) -> dict[str, Any]:
    try:
        return tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise TrimtabError(f"{shown} cannot be read: {error}.", "Mend the file.") from error


def _odd(shown: str, table: str, name: str, value: str | float | bool) -> TrimtabError:
    return TrimtabError(
        f"{shown} is laid out in a way that Trimtab does not change by itself.",
        f"Write it there by hand: {name} = {written(value)} under [{table}].",
    )
