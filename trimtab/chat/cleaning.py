"""The boundary of the store: text from people, models and files as it may be kept and shown."""

from __future__ import annotations

from trimtab.engine.text import clean, clean_line

LINE_LENGTH = 200


def text(raw: str) -> str:
    """Several lines without control codes, and fit to be stored: lone surrogates show as `?`."""
    whole = raw.encode("utf-8", "replace").decode()
    return clean(whole.replace("\r\n", "\n").replace("\r", "\n"))


def line(raw: str, length: int = LINE_LENGTH) -> str:
    """One line of a name or title, its spaces collapsed."""
    return " ".join(clean_line(raw[: 4 * length]).split())[:length].rstrip()
