"""Code with its words coloured by what they are."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING

from trimtab.tui.markdown.rows import Run

if TYPE_CHECKING:
    from pygments.lexer import Lexer

LONGEST = 40_000
"""Characters of a block that is still coloured."""
LONGEST_LINE = 2_000
PATIENCE = 0.1
"""Processor seconds for one block; what is left then stays plain."""

_STYLES = {
    "Comment": "code-comment",
    "Keyword": "code-keyword",
    "Literal.String": "code-string",
    "Literal.Number": "code-number",
    "Name.Function": "code-name",
    "Name.Class": "code-name",
    "Name.Tag": "code-name",
    "Name.Decorator": "code-name",
    "Name.Builtin": "code-name",
    "Generic.Deleted": "code-number",
    "Generic.Inserted": "code-string",
}


def coloured(code: str, language: str) -> list[list[Run]]:
    """The lines of a block; all plain where the language is not known."""
    lexer = _lexer(language)
    if lexer is None or len(code) > LONGEST or any(len(line) > LONGEST_LINE for line in code.split("\n")):
        return _lines([(code, "")])
    runs: list[Run] = []
    said, deadline = 0, time.thread_time() + PATIENCE
    for kind, text in lexer.get_tokens(code):
        runs.append((text, _style(str(kind))))
        said += len(text)
        if time.thread_time() > deadline:
            runs.append((code[said:], ""))
            break
    return _lines(runs)


@functools.lru_cache(maxsize=256)
def _lexer(language: str) -> Lexer | None:
    from pygments.lexers import find_lexer_class_by_name
    from pygments.util import ClassNotFound

    if not language or len(language) > 40:
        return None
    try:
        return find_lexer_class_by_name(language)(stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


@functools.lru_cache(maxsize=1024)
def _style(kind: str) -> str:
    name = kind.removeprefix("Token.")
    return next((style for start, style in _STYLES.items() if name.startswith(start)), "")


def _lines(runs: list[Run]) -> list[list[Run]]:
    lines: list[list[Run]] = [[]]
    for text, style in runs:
        first, *others = text.split("\n")
        lines[-1].append((first, style))
        lines += [[(other, style)] for other in others]
    return lines
