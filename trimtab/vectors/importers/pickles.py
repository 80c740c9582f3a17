"""Knows pickles by their look, whatever they are called, so that none is ever opened."""

from __future__ import annotations

import io
import pickletools
from pathlib import Path

from trimtab.engine.text import clean_line
from trimtab.vectors.pack_errors import PackError

_SUFFIXES = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".joblib", ".dill", ".tar", ".npy", ".npz")
_GGUF = b"GGUF"
_SAFE_WAY = (
    "Ask its author for a GGUF file, or convert it where nothing can be harmed: "
    "docs/packs.md, 'From a pickle', tells how."
)
_LOOKED_AT = 1 << 16


def refuse_pickle(path: Path, data: bytes) -> None:
    """Raises if this is a pickle, or so called: opening one can run any code that its maker put in."""
    shown, suffix = clean_line(path.name), path.suffix.lower()
    if _looks_pickled(data):
        raise PackError(f"{shown} is a pickle, which can run any code when it is opened: refused.", _SAFE_WAY)
    if suffix in _SUFFIXES and not data.startswith(_GGUF):
        raise PackError(
            f"{shown} is a {suffix} file, whose content may be pickled and run any code when it is opened: refused.",
            _SAFE_WAY,
        )


def _looks_pickled(data: bytes) -> bool:
    if data.startswith(_GGUF) or data.lstrip()[:1] == b"{":
        return False
    if data[:1] == b"\x80" and data[1:2] <= b"\x05":
        return True
    if data.startswith(b"PK\3\4"):
        # What PyTorch and numpy save is a zip archive around pickles; the names in it are not compressed.
        first = data[30 : 30 + int.from_bytes(data[26:28], "little")]
        return first.endswith((b".pkl", b".pickle", b".npy")) or b"/data.pkl" in data
    return data.startswith(b"\x93NUMPY") or _is_old_pickle(data[:_LOOKED_AT])


def _is_old_pickle(data: bytes) -> bool:
    """The oldest protocols are plain text; this parses their steps and takes none of them."""
    steps = 0
    try:
        for step, _, _ in pickletools.genops(io.BytesIO(data)):
            steps += 1
            if step.name == "STOP":
                return steps > 1
    except Exception:  # noqa: BLE001  whatever a parser says of a stranger's bytes, it is no pickle
        return False
    return False
