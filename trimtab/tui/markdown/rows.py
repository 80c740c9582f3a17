"""Rows of styled text, and how text is broken into them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from rich.cells import cell_len, chop_cells

Run: TypeAlias = tuple[str, str]
"""Text, and the names of its styles with spaces between."""
Word: TypeAlias = list[Run]

# Scripts that put no spaces between words may be broken after any character.
_WIDE = (
    "\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3"
    "\uf900-\ufaff\uff00-\uff60"
)
_PIECES = re.compile(f"\n|[^\\S\n]+|[{_WIDE}]|[^\\s{_WIDE}]+")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of cells."""

    runs: tuple[Run, ...] = ()
    code: int | None = None
    """Which code block of the text it belongs to."""
    fold: bool = False
    """Whether a click on it opens or closes what is below."""

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.runs)

    def behind(self, prefix: Run) -> Row:
        return replace(self, runs=(prefix, *self.runs))


BLANK = Row()


def width_of(text: str) -> int:
    """In cells."""
    return len(text) if text.isascii() else cell_len(text)


def wrapped(runs: Iterable[Run], width: int) -> list[Row]:
    """Broken between words where that can be; never wider than `width`, which is at least 2."""
    width = max(2, width)
    rows: list[Row] = []
    row: list[Run] = []
    used = 0
    fresh = True  # at the start of a line of the text, whose indentation counts
    for word in _words(runs):
        text = word[0][0]
        if text == "\n":
            rows.append(_row(row))
            row, used, fresh = [], 0, True
            continue
        length = sum(width_of(part) for part, _ in word)
        if used + length > width:
            if text.isspace():
                continue  # the break stands for it
            if used:
                rows.append(_row(row))
                row, used, fresh = [], 0, False
            if length > width:
                *full, rest = _chopped(word, width)
                rows += [_row(each) for each in full]
                row, used = rest, sum(width_of(part) for part, _ in rest)
                continue
        elif text.isspace() and not used and not fresh:
            continue
        row += word
        used += length
    rows.append(_row(row))
    return rows


def cut(runs: Sequence[Run], width: int) -> tuple[Run, ...]:
    """What fits on one row, with an ellipsis where something is left out."""
    if sum(width_of(text) for text, _ in runs) <= width:
        return tuple(runs)
    kept: list[Run] = []
    room = max(0, width - 1)
    for text, style in runs:
        part = text if width_of(text) <= room else next(iter(chop_cells(text, room)), "") if room else ""
        kept.append((part, style))
        room -= width_of(part)
        if part != text:
            break
    return (*kept, ("…", kept[-1][1] if kept else ""))


def _words(runs: Iterable[Run]) -> Iterator[Word]:
    """Words, spaces and line ends; a word may change its style on the way."""
    word: Word = []
    for text, style in runs:
        for piece in _PIECES.findall(text):
            joins = not piece[0].isspace() and not _is_wide(piece)
            if word and not joins:
                yield word
                word = []
            if joins:
                word.append((piece, style))
            else:
                yield [(piece, style)]
    if word:
        yield word


def _is_wide(piece: str) -> bool:
    return (
        len(piece) == 1
        and not piece.isascii()
        and _PIECES.fullmatch(piece) is not None
        and cell_len(piece) == 2
    )


def _chopped(word: Word, width: int) -> list[Word]:
    """A word that is wider than a row, in parts that are not."""
    parts: list[Word] = [[]]
    used = 0
    for text, style in word:
        rest = text
        while rest:
            room = width - used
            piece = (
                rest if width_of(rest) <= room else next(iter(chop_cells(rest, room)), "") if room > 1 else ""
            )
            if piece:
                parts[-1].append((piece, style))
                used += width_of(piece)
                rest = rest[len(piece) :]
            if rest:
                parts.append([])
                used = 0
    return [part for part in parts if part] or [word]


def _row(runs: list[Run]) -> Row:
    """Neighbours of one style are joined, and spaces at the end dropped."""
    joined: list[Run] = []
    for text, style in runs:
        if joined and joined[-1][1] == style:
            joined[-1] = (joined[-1][0] + text, style)
        else:
            joined.append((text, style))
    while joined and not (stripped := joined[-1][0].rstrip()):
        joined.pop()
    if joined:
        joined[-1] = (stripped, joined[-1][1])
    return Row(tuple(joined))
