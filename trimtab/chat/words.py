"""Words to search by: how text is cut into them, how a query asks for them, and where they stand in a text."""

from __future__ import annotations

import functools
import re
import unicodedata

from trimtab.chat.records import Snippet

MAX_TERMS = 16
MAX_QUERY = 400
SNIPPET = 120
"""Characters of a snippet."""
LOOKED_THROUGH = 20_000
"""Characters at the start of a message in which a snippet is looked for."""

# Writing without spaces between words: each character is a word of its own, so that any part can be found.
_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff])"
)
_WORD = re.compile(r"[^\W_]+")


def spaced(text: str) -> str:
    """The text as it is indexed."""
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return plain if plain.isascii() else _UNSPACED.sub(r" \1 ", plain)


def terms(query: str) -> list[str]:
    """The words that somebody typed."""
    return _WORD.findall(unicodedata.normalize("NFKC", query[:MAX_QUERY]))[:MAX_TERMS]


def match(query: str) -> str:
    """What FTS5 is asked: all words, the last one perhaps unfinished; empty where there are no words."""
    # Each word is quoted, and holds letters and digits alone: nothing typed is ever taken for syntax.
    return " AND ".join(f'"{spaced(term).strip()}"*' for term in terms(query))


def snippet(text: str, query: str) -> Snippet:
    """The piece of a text around the first of the words, on one line."""
    flat = re.sub(r"\s", " ", text[:LOOKED_THROUGH])
    folded, places = _folded(flat)
    found = sorted(
        {
            (places[at.start()], places[at.end() - 1] + 1)
            for term in terms(query) or [query.strip()]
            if (pattern := _pattern(term)) is not None
            for at in pattern.finditer(folded)
        }
    )
    begin = max(0, found[0][0] - SNIPPET // 3) if found else 0
    if begin:  # not in the middle of a word, if one ends nearby
        begin = next((at + 1 for at in range(begin, min(begin + 20, found[0][0])) if flat[at] == " "), begin)
    end = min(len(flat), begin + SNIPPET)
    before, after = "…" if begin else "", "…" if end < len(text) else ""
    shift = len(before) - begin
    spans = tuple((start + shift, stop + shift) for start, stop in _apart(found) if stop <= end)
    return Snippet(text=before + flat[begin:end] + after, spans=spans)


def _pattern(term: str) -> re.Pattern[str] | None:
    folded = "".join(map(_fold, term))
    if not folded:
        return None
    start = "" if _UNSPACED.search(folded) or not folded[0].isalnum() else r"(?<![^\W_])"
    return re.compile(start + re.escape(folded))


def _folded(text: str) -> tuple[str, range | list[int]]:
    """The text without case and accents, and for each of its characters the place it comes from."""
    if text.isascii():
        return text.lower(), range(len(text))
    pieces = [_fold(character) for character in text]
    return "".join(pieces), [at for at, piece in enumerate(pieces) for _ in piece]


@functools.lru_cache(maxsize=4096)
def _fold(character: str) -> str:
    plain = unicodedata.normalize("NFKD", character).casefold()
    return "".join(part for part in plain if not unicodedata.combining(part))


def _apart(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans that do not overlap, in order."""
    apart: list[tuple[int, int]] = []
    for start, stop in spans:
        if apart and start < apart[-1][1]:
            apart[-1] = (apart[-1][0], max(apart[-1][1], stop))
        else:
            apart.append((start, stop))
    return apart
