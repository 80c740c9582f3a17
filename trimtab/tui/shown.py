"""Text as it may be put on the screen: without control codes, and without what would spill over its cell."""

from __future__ import annotations

import re

from trimtab.chat import cleaning

_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
)
# Writing systems stack a few marks on a letter; a hundred are a joke that covers the lines above and below.
_STORM = re.compile(f"([{_MARKS}]{{4}})[{_MARKS}]+")


def text(raw: str) -> str:
    """Several lines."""
    clean = cleaning.text(raw)
    return clean.expandtabs(4) if clean.isascii() else _STORM.sub(r"\1", clean).expandtabs(4)


def line(raw: str, length: int = cleaning.LINE_LENGTH) -> str:
    """One line of a name or title."""
    return _STORM.sub(r"\1", cleaning.line(raw, length))
