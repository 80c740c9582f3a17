"""Tables: columns as wide as what they hold, and narrower where the room ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from trimtab.tui.markdown.inline import runs_of
from trimtab.tui.markdown.rows import Row, Run, width_of, wrapped

if TYPE_CHECKING:
    from markdown_it.tree import SyntaxTreeNode

Cells: TypeAlias = list[list[Run]]
_NARROWEST = 4
_GAP = (" │ ", "rule")


def table(node: SyntaxTreeNode, width: int) -> list[Row]:
    """The header is strong and underlined."""
    header, *body = _lines(node)
    count = len(header)
    widths = _widths([header, *body], count, width)
    rows = _rendered(header, widths)
    rows.append(Row((("─┼─".join("─" * each for each in widths), "rule"),)))
    for line in body:
        rows += _rendered(line, widths)
    return rows


def _lines(node: SyntaxTreeNode) -> list[Cells]:
    return [
        [
            runs_of(cell.children[0], "strong" if part.type == "thead" else "") if cell.children else []
            for cell in line.children
        ]
        for part in node.children
        for line in part.children
    ]


def _widths(lines: list[Cells], count: int, width: int) -> list[int]:
    """The widest columns give way first."""
    natural = [max((_length(line[at]) for line in lines if at < len(line)), default=0) for at in range(count)]
    widths = [max(1, each) for each in natural]
    room = max(count * _NARROWEST, width - 3 * (count - 1))
    while sum(widths) > room and max(widths) > _NARROWEST:
        widest = max(widths)
        second = max((each for each in widths if each < widest), default=_NARROWEST)
        number = widths.count(widest)
        over = sum(widths) - room
        give = max(1, min(widest - max(second, _NARROWEST), over // number))
        for at, each in enumerate(widths):
            if each == widest and sum(widths) > room:
                widths[at] = each - give
    return widths


def _rendered(line: Cells, widths: list[int]) -> list[Row]:
    cells = [wrapped(line[at] if at < len(line) else [], width) for at, width in enumerate(widths)]
    rows = []
    for number in range(max(map(len, cells))):
        runs: list[Run] = []
        for at, width in enumerate(widths):
            row = cells[at][number] if number < len(cells[at]) else Row()
            runs += [*row.runs, (" " * (width - width_of(row.text)), "")]
            if at < len(widths) - 1:
                runs.append(_GAP)
        rows.append(Row(tuple(runs)))
    return rows


def _length(cell: list[Run]) -> int:
    return sum(width_of(text) for text, _ in cell)
