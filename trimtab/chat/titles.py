"""Titles made from what was said first."""

from __future__ import annotations

import re

from trimtab.chat import cleaning

LENGTH = 60
UNTITLED = "New chat"

_MARKERS = re.compile(r"^[\s#>*+\-`~=_|]+|[*_`~]+")


def title_from(text: str) -> str:
    """The first line that says something, without its Markdown, cut between words."""
    lines = (_MARKERS.sub("", line) for line in text[:4000].splitlines())
    first = next((line for line in lines if any(map(str.isalnum, line))), "") or text
    whole = cleaning.line(first, 4 * LENGTH)
    if len(whole) <= LENGTH:
        return whole or UNTITLED
    cut = whole[: LENGTH - 1]
    words = cut.rpartition(" ")[0]
    return f"{words if len(words) > LENGTH // 2 else cut}…"
