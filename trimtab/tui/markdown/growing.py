"""Markdown that grows: what can no longer change is laid out once."""

from __future__ import annotations

from dataclasses import replace

from trimtab.tui.markdown.blocks import Layout, lay_out, tree
from trimtab.tui.markdown.rows import BLANK


class Growing:
    """The layout of a text to which more is added, at one width."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._settled = Layout()
        self._until = 0
        """Characters of the text that are laid out for good."""
        self._text = ""

    def lay_out(self, text: str) -> Layout:
        """The text so far; anything but more of the same begins anew."""
        if not text.startswith(self._text):
            self._settled, self._until = Layout(), 0
        self._text = text
        tail = text[self._until :]
        blocks = [node for node in tree(tail).children if node.map is not None]
        if len(blocks) > 1:
            # Only the last block can still become another one.
            assert blocks[-1].map is not None
            at = _offset(tail, blocks[-1].map[0])
            self._add(lay_out(tail[:at], self.width))
            self._until += at
            tail = tail[at:]
        return _joined(self._settled, lay_out(tail, self.width))

    def _add(self, more: Layout) -> None:
        self._settled = _joined(self._settled, more)


def _joined(one: Layout, other: Layout) -> Layout:
    gap = [BLANK] if one.rows and other.rows else []
    shift = len(one.codes)
    moved = [row if row.code is None else replace(row, code=row.code + shift) for row in other.rows]
    return Layout([*one.rows, *gap, *moved], [*one.codes, *other.codes])


def _offset(text: str, line: int) -> int:
    """Where a line begins."""
    at = 0
    for _ in range(line):
        at = text.index("\n", at) + 1
    return at
