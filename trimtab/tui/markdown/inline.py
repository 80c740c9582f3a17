"""The text within a paragraph, with what is strong, slanted, struck, code or a link."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from trimtab.tui.markdown.rows import Run

if TYPE_CHECKING:
    from markdown_it.tree import SyntaxTreeNode

_STYLES = {"strong": "strong", "em": "em", "s": "struck", "link": "link"}


def runs_of(node: SyntaxTreeNode, style: str = "") -> list[Run]:
    """What a block says."""
    return list(_runs(node, style))


def _runs(node: SyntaxTreeNode, style: str) -> Iterator[Run]:
    for child in node.children:
        match child.type:
            case "text":
                yield child.content, style
            case "softbreak":
                yield " ", style
            case "hardbreak":
                yield "\n", style
            case "code_inline":
                yield child.content, _also(style, "code")
            case "image":
                # A picture is not fetched: what it shows is told, and where it lies.
                yield f"[{child.content or 'image'}]", _also(style, "link")
                yield from _target(str(child.attrs.get("src", "")), child.content, style)
            case _ if child.children:
                yield from _runs(child, _also(style, _STYLES.get(child.type, "")))
                if child.type == "link":
                    yield from _target(str(child.attrs.get("href", "")), _text(child), style)
            case _:
                yield child.content, style


def _target(address: str, said: str, style: str) -> Iterator[Run]:
    """Where a link leads, unless its text says so: nothing leads elsewhere than it shows."""
    if address and address not in (said, f"mailto:{said}"):
        yield f" ({address})", _also(style, "faint")


def _text(node: SyntaxTreeNode) -> str:
    return "".join(text for text, _ in _runs(node, ""))


def _also(style: str, more: str) -> str:
    return f"{style} {more}".strip()
