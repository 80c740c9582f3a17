"""Markdown in rows: paragraphs, lists, quotes, tables and code, at a given width."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from trimtab.tui.markdown.code import coloured
from trimtab.tui.markdown.inline import runs_of
from trimtab.tui.markdown.rows import BLANK, Row, width_of, wrapped
from trimtab.tui.markdown.tables import table

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

DEEPEST = 12
"""Lists and quotes within each other that are still indented."""
_NESTING = 150
_FARTHEST = 60
_MARKER = r"(?:>|[-*+][ \t]|\d{1,9}[.)][ \t])"
_DEEP = re.compile(rf"^((?:[ \t]*{_MARKER}){{20}}[ \t]*)(?={_MARKER})", re.MULTILINE)
_FAR = re.compile(rf"^ {{{_FARTHEST},}}(?={_MARKER})", re.MULTILINE)
_CODE = ("│ ", "code-edge")
_QUOTE = ("▎ ", "quote-edge")


@dataclass(frozen=True)
class Code:
    """A code block as it was written."""

    text: str
    language: str = ""


@dataclass
class Layout:
    """The rows of a text, and the code blocks in it."""

    rows: list[Row] = field(default_factory=list)
    codes: list[Code] = field(default_factory=list)


def lay_out(text: str, width: int) -> Layout:
    """All of a text."""
    layout = Layout()
    layout.rows = _Renderer(layout.codes).blocks(tree(text).children, max(4, width))
    return layout


def plain(text: str, width: int) -> Layout:
    """A text as it was typed."""
    return Layout(wrapped([(text, "")], max(4, width)))


def tree(text: str) -> SyntaxTreeNode:
    from markdown_it.tree import SyntaxTreeNode

    return SyntaxTreeNode(_parser().parse(_shallow(text)))


def _shallow(text: str) -> str:
    """The parser drops what is nested too deeply: here the markers of what is become text."""
    if not _DEEP.search(text) and not _FAR.search(text):
        return text
    return _FAR.sub(" " * _FARTHEST, _DEEP.sub(r"\1\\", text))


@functools.cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    # HTML is text like any other here.
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": _NESTING})
    return parser.enable(["table", "strikethrough"])


class _Renderer:
    """Turns nodes into rows, and keeps the code blocks that it meets."""

    def __init__(self, codes: list[Code]) -> None:
        self._codes = codes

    def blocks(
        self, nodes: Iterable[SyntaxTreeNode], width: int, *, tight: bool = False, depth: int = 0
    ) -> list[Row]:
        rows: list[Row] = []
        for node in nodes:
            if rows and not tight:
                rows.append(BLANK)
            rows += self._block(node, width, depth)
        return rows

    def _block(self, node: SyntaxTreeNode, width: int, depth: int) -> list[Row]:
        match node.type:
            case "paragraph":
                return wrapped(runs_of(node), width)
            case "heading":
                return wrapped(runs_of(node, "heading" if node.tag in {"h1", "h2"} else "strong"), width)
            case "fence" | "code_block":
                return self._code(node, width)
            case "bullet_list" | "ordered_list":
                return self._list(node, width, depth)
            case "blockquote":
                inner = self.blocks(node.children, self._narrower(width, 2, depth), depth=depth + 1)
                return [row.behind(_QUOTE) for row in inner] if depth < DEEPEST else inner
            case "hr":
                return [Row((("─" * width, "rule"),))]
            case "table":
                return table(node, width)
        return wrapped([(node.content, "")], width) if not node.is_nested and node.content else []

    def _code(self, node: SyntaxTreeNode, width: int) -> list[Row]:
        text = node.content.removesuffix("\n")
        language = node.info.split()[0] if node.info.strip() else ""
        number = len(self._codes)
        self._codes.append(Code(text, language))
        return [
            replace(row.behind(_CODE), code=number)
            for line in coloured(text, language)
            for row in wrapped(line, max(2, width - 2))
        ]

    def _list(self, node: SyntaxTreeNode, width: int, depth: int) -> list[Row]:
        marks = list(_marks(node))
        indent = max((width_of(mark) for mark in marks), default=2)
        tight = all(
            child.hidden for item in node.children for child in item.children if child.type == "paragraph"
        )
        rows: list[Row] = []
        for mark, item in zip(marks, node.children, strict=True):
            if rows and not tight:
                rows.append(BLANK)
            inner = self.blocks(
                item.children, self._narrower(width, indent, depth), tight=tight, depth=depth + 1
            ) or [BLANK]
            if depth >= DEEPEST:
                rows += inner
                continue
            rows.append(inner[0].behind((mark.rjust(indent), "bullet")))
            rows += [row.behind((" " * indent, "")) for row in inner[1:]]
        return rows

    def _narrower(self, width: int, by: int, depth: int) -> int:
        return max(8, width - by) if depth < DEEPEST else width


def _marks(node: SyntaxTreeNode) -> Iterator[str]:
    first = int(node.attrs.get("start", 1)) if node.type == "ordered_list" else None
    for number in range(len(node.children)):
        yield "• " if first is None else f"{first + number}. "
