"""Dials as people type them on a command line: `security=3`, `security=3:0.5`, `security=-2:1:none`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trimtab.chat import cleaning
from trimtab.chat.desk import Dial, FileDial
from trimtab.errors import TrimtabError

_HOW = "Write it so: security=3, or with strength and gate: security=3:0.5:0.2"


def parse_dial(text: str, method: str = "", options: Sequence[str] = ()) -> Dial:
    """`value=level[:strength[:gate]]`; a gate is a threshold, `own`, or `none`."""
    value, sign, rest = text.partition("=")
    parts = rest.split(":")
    if not sign or not value.strip() or len(parts) > 3:
        raise TrimtabError(f"{cleaning.line(text)!r} is no dial.", _HOW)
    level, strength, gate = (*parts, "", "")[:3]
    return Dial(
        value=value.strip(),
        on=True,
        level=_number(text, "level", level),
        strength=_number(text, "strength", strength) if strength.strip() else 1.0,
        gate=_gate(text, gate.strip()),
        method=method,
        options=tuple(options),
    )


def parse_file(text: str) -> FileDial:
    """`FILE[:SCALE]`."""
    path, sign, scale = text.rpartition(":")
    if not sign or Path(text).expanduser().exists():
        path, scale = text, "1"
    try:
        factor = float(scale)
    except ValueError:  # a colon of the path's own
        path, factor = text, 1.0
    place = Path(path).expanduser()
    return FileDial(name=place.stem or path, path=str(place.absolute()), scale=factor)


def _gate(text: str, gate: str) -> float | None:
    if gate in ("", "own"):
        return None
    return 0.0 if gate == "none" else _number(text, "gate", gate)


def _number(dial: str, what: str, text: str) -> float:
    try:
        return float(text.strip().replace("\N{MINUS SIGN}", "-"))
    except ValueError:
        raise TrimtabError(
            f"The {what} of the dial {cleaning.line(dial)!r} is {cleaning.line(text)!r}, which is no number.",
            _HOW,
        ) from None
