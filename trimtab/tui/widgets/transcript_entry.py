"""A message as the transcript shows it, and its rows at a given width."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from trimtab.tui import shown
from trimtab.tui.markdown.blocks import Code, Layout, lay_out, plain
from trimtab.tui.markdown.growing import Growing
from trimtab.tui.markdown.rows import BLANK, Row, Run, cut, width_of, wrapped

_THINKING = re.compile(r"\s*<(think|thinking)>\n?(.*?)(?:</\1>\s*|\Z)", re.DOTALL)

NoteKind = Literal["note", "warning", "error"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What of a message is shown. Its texts may come from anywhere."""

    id: int
    mine: bool
    """Whether the user said it: then it is shown as it was typed."""
    name: str
    text: str
    about: str = ""
    """Beside the name: how it was made."""
    notes: tuple[tuple[NoteKind, str], ...] = ()
    """Below the text."""
    version: tuple[int, int] = (1, 1)
    """Which one of how many siblings."""
    live: bool = False
    """Whether it is being spoken."""


@dataclass(frozen=True)
class Laid:
    """An entry's rows."""

    rows: list[Row]
    codes: list[Code] = field(default_factory=list)


class EntryLayout:
    """Lays one entry out again and again while it grows."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._growing = Growing(width)

    def lay_out(self, entry: Entry, *, unfolded: bool = False) -> Laid:
        text = shown.text(entry.text)
        rows = [self._head(entry)]
        codes: list[Code] = []
        if not entry.mine and (found := _THINKING.match(text)):
            rows += self._thinking(found[2].strip(), unfolded or (entry.live and found.end() == len(text)))
            text = text[found.end() :]
        body = self._body(entry, text)
        codes += body.codes
        rows += body.rows
        if entry.live:
            rows = _with_cursor(rows, 1)
        for kind, note in entry.notes:
            rows += wrapped([(shown.text(note), kind)], self.width)
        return Laid([*rows, BLANK], codes)

    def _body(self, entry: Entry, text: str) -> Layout:
        if entry.mine:
            return plain(text.rstrip(), self.width)
        if entry.live:
            return self._growing.lay_out(text)
        return lay_out(text, self.width) if text.strip() else Layout()

    def _head(self, entry: Entry) -> Row:
        first, last = entry.version
        left: list[Run] = [(shown.line(entry.name, 60), "you" if entry.mine else "name")]
        if last > 1:
            left.append((f" ‹{first}/{last}›", "faint"))
        used = sum(width_of(text) for text, _ in left)
        about = shown.line(entry.about, 300)
        room = self.width - used - 2
        if not about or room < 8:
            return Row(cut(left, self.width))
        right = cut([(about, "about")], room)
        gap = self.width - used - sum(width_of(text) for text, _ in right)
        return Row((*left, (" " * gap, ""), *right))

    def _thinking(self, text: str, unfolded: bool) -> list[Row]:
        words = len(text.split())
        sign = "▾" if unfolded else "▸"
        head = Row(((f"{sign} thought, {words} word{'' if words == 1 else 's'}", "fold"),), fold=True)
        if not unfolded:
            return [head, BLANK]
        inner = wrapped([(text, "thought")], self.width - 2)
        return [head, *(row.behind(("  ", "")) for row in inner), BLANK]


def _with_cursor(rows: list[Row], least: int) -> list[Row]:
    """With a block where the next word will come."""
    cursor = ("▌", "cursor")
    if len(rows) <= least:
        return [*rows, Row((cursor,))]
    last = rows[-1]
    return [*rows[:-1], Row((*last.runs, cursor), last.code)]
