"""Which line of a TOML text each entry stands on, which Python's own parser does not tell."""

from __future__ import annotations

import re
from collections.abc import Iterator

from trimtab.vectors.errors import Fault, RecipeError

Path = tuple[str | int, ...]
"""Keys and positions from the top: ("pairs", 16, "positive")."""

MAX_DEPTH = 16
MAX_TOKENS = 500_000

# Strings that never end match up to where they would have to, so that no text is scanned twice.
_TOKEN = re.compile(
    r'''
    (?P<string>
        """ (?: [^"\\]++ | \\.? | "(?!"") )*+ (?: "{3,5} | \Z )
      | \'\'\' (?: [^']++ | '(?!'') )*+ (?: '{3,5} | \Z )
      | " (?: [^"\\\n]++ | \\[^\n]? )*+ "?
      | ' [^'\n]*+ '?
    )
    | (?P<comment> \#[^\n]*+ )
    | (?P<space> [^\S\n]++ )
    | (?P<newline> \n )
    | (?P<mark> [\[\]{},=.] )
    | (?P<bare> [^\s\[\]{},=."'\#]++ )
    ''',
    re.VERBOSE | re.DOTALL,
)


class Places:
    """The line of each table, key and list entry of a text."""

    def __init__(self, lines: dict[Path, int]) -> None:
        self._lines = lines

    def line(self, path: Path) -> int | None:
        """The line of an entry, or of what holds it."""
        while path:
            if path in self._lines:
                return self._lines[path]
            path = path[:-1]
        return None


def places(text: str, name: str) -> Places:
    """Reads where things stand. What is no TOML is passed over; what is nested without end is refused.

    So it comes before Python's parser, whose time grows with the square of a key's depth.
    """
    try:
        return Places(_Scanner(text).scan())
    except _TooMuch as error:
        raise RecipeError.of(name, [error.fault]) from None


class _TooMuch(Exception):
    """More than a recipe can hold."""

    def __init__(self, line: int, what: str, mend: str) -> None:
        super().__init__(what)
        self.fault = Fault(f"line {line}", what, mend)


class _Scanner:
    """Walks over the tokens once, noting the line of whatever begins."""

    def __init__(self, text: str) -> None:
        self._coming = _tokens(text)
        self._lines: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}
        self._now, self._line = next(self._coming)

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        while self._now:
            if self._now == "[":
                table = self._header()
            elif self._now in "\n]{},=.":
                self._advance()
            else:
                self._entry(table, 0)
        return self._lines

    def _advance(self) -> None:
        self._now, self._line = next(self._coming)

    def _header(self) -> Path:
        """`[a.b]` or `[[a.b]]`; in the second, the position in the list belongs to the path."""
        line = self._line
        self._advance()
        repeats = self._now == "["
        if repeats:
            self._advance()
        path: Path = ()
        for key in self._key():
            path += (key,)
            if path in self._counts:
                path += (self._counts[path],)
        if repeats:
            if path and isinstance(path[-1], int):
                path = path[:-1]
            self._counts[path] = self._counts.get(path, -1) + 1
            path += (self._counts[path],)
        self._lines.setdefault(path, line)
        while self._now not in ("", "\n"):
            self._advance()
        return path

    def _key(self) -> list[str]:
        """The parts of a dotted key, up to what is none."""
        parts: list[str] = []
        while self._now not in ("", "\n", "[", "]", "{", "}", ",", "="):
            if self._now != ".":
                parts.append(self._now[1:-1] if self._now[0] in "\"'" else self._now)
            if len(parts) > MAX_DEPTH:
                raise _too_deep(self._line)
            self._advance()
        return parts

    def _entry(self, table: Path, depth: int) -> None:
        line = self._line
        path = (*table, *self._key())
        self._lines.setdefault(path, line)
        if self._now == "=":
            self._advance()
            self._value(path, depth)

    def _value(self, path: Path, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise _too_deep(self._line)
        self._lines.setdefault(path, self._line)
        opening = self._now
        if opening not in ("", "\n", "]", "}"):
            self._advance()
        if opening == "[":
            self._list(path, depth)
        elif opening == "{":
            while self._now not in ("", "}"):
                if self._now in "\n,=.[]{":
                    self._advance()
                else:
                    self._entry(path, depth + 1)
            self._advance()

    def _list(self, path: Path, depth: int) -> None:
        at = 0
        while self._now not in ("", "]"):
            if self._now == ",":
                at += 1
                self._advance()
            elif self._now in "\n}=.":
                self._advance()
            else:
                self._value((*path, at), depth + 1)
        self._advance()


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    """Each token with its line, and empty ones without end after the last."""
    line = 1
    for count, match in enumerate(_TOKEN.finditer(text)):
        if count > MAX_TOKENS:
            raise _TooMuch(line, "there are too many entries for a recipe.", "Split it into several.")
        if match.lastgroup not in ("space", "comment"):
            yield match[0], line
        line += match[0].count("\n")
    while True:
        yield "", line


def _too_deep(line: int) -> _TooMuch:
    return _TooMuch(line, "tables or lists are nested too deeply.", "A recipe nests three levels at most.")
