"""Small plots of block characters, readable without colour."""

from __future__ import annotations

from collections.abc import Collection, Sequence

_BLOCKS = " ▁▂▃▄▅▆▇█"
_ROWS = 4
_ASCII = str.maketrans(
    {
        "▁": ".", "▂": ".", "▃": ":", "▄": "-", "▅": "=", "▆": "+", "▇": "*", "█": "#", "●": "o", "·": ".",
        "−": "-", "–": "-", "…": "~", "│": "|", "└": "+", "─": "-", "⚠": "!",
    }
)  # fmt: skip


def bars(
    values: Sequence[float | None], low: float, high: float, marked: Collection[int] = (), first: int = 0
) -> list[str]:
    """A bar for each value between `low` and `high`, none for what is not known.

    Below each stands a dot, a full one at the marked numbers, and below every fifth its number.
    """
    wide = 2 if len(values) <= 36 else 1
    heights = [0 if value is None else _height(value, low, high) for value in values]
    lines = []
    for row in range(_ROWS - 1, -1, -1):
        label = f"{high:5.2f}" if row == _ROWS - 1 else f"{low:5.2f}" if row == 0 else " " * 5
        line = "".join(_BLOCKS[min(8, max(0, height - 8 * row))] * wide for height in heights)
        lines.append(f"{label} │{line}".rstrip())
    dots = "".join(("●" if first + at in marked else "·").ljust(wide) for at in range(len(values)))
    numbers = "".join(f"{first + at:<{5 * wide}}" for at in range(0, len(values), 5))
    return [*lines, f"      └{dots}".rstrip(), f"       {numbers}".rstrip()]


def legible(text: str, encoding: str | None) -> str:
    """The text for a terminal of this encoding: plots become plain signs where blocks cannot be shown."""
    try:
        text.encode(encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        known = encoding if encoding is not None and encoding.isascii() else "ascii"
        try:
            return text.translate(_ASCII).encode(known, "replace").decode(known)
        except LookupError:
            return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")
    return text


def _height(value: float, low: float, high: float) -> int:
    """In eighths of a row; what is known shows at least a little."""
    share = (value - low) / (high - low) if high > low else 1.0
    return max(1, min(8 * _ROWS, round(share * 8 * _ROWS)))
