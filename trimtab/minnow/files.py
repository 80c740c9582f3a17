"""Finds the built-in models on disk, and makes what is not shipped from what is."""

from __future__ import annotations

import hashlib
import os
import tempfile
from importlib import resources
from pathlib import Path
from typing import Literal, get_args

from trimtab import locations
from trimtab.errors import ModelError
from trimtab.minnow.conversion import write_gguf

Kind = Literal["gguf", "safetensors", "gguf-f32"]
Name = Literal["minnow", "minnow-base", "minnow-mini", "minnow-mini-tuned"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NAMES: tuple[Name, ...] = get_args(Name)
"""The aligned model, the base it was made from, and the small base with its preference-tuned twin."""


def path(kind: Kind = "gguf", name: Name = "minnow") -> Path:
    """Where a built-in model lies: a Q8_0 GGUF file, or a folder of f16 safetensors.

    `gguf-f32` is made at the first call, from exactly these f16 weights, in the user's cache.
    """
    if kind not in KINDS or name not in NAMES:
        raise ModelError(
            f"There is no built-in {kind} of {name}.",
            f"Kinds: {', '.join(KINDS)}. Models: {', '.join(NAMES)}.",
        )
    if kind == "gguf":
        return _installed(weights() / f"{name}.gguf")
    folder = weights() / name
    _installed(folder / "model.safetensors")
    return folder if kind == "safetensors" else _exact(folder, name)


def weights() -> Path:
    """The folder of the shipped weights."""
    return Path(str(resources.files("trimtab.minnow"))) / "weights"


def installed() -> bool:
    """Whether all built-in models are here."""
    return all(
        (weights() / f"{name}.gguf").is_file() and (weights() / name / "model.safetensors").is_file()
        for name in NAMES
    )


def _installed(found: Path) -> Path:
    if not found.is_file():
        raise ModelError(
            f"The built-in weights are not installed: {found} is missing.",
            "Install Trimtab again, or train them: python -m tools.minnow.train",
        )
    return found


def _exact(folder: Path, name: str) -> Path:
    """The f32 GGUF of a folder, under a name that tells its content apart from any other."""
    digest = hashlib.sha256()
    for file in ("config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors"):
        digest.update((folder / file).read_bytes())
    out = locations.cache() / "minnow" / f"{name}-{digest.hexdigest()[:16]}.f32.gguf"
    if out.is_file():
        return out
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # Two processes may make it at once: each writes a file of its own, and the last rename wins.
        handle, fresh = tempfile.mkstemp(dir=out.parent, suffix=".new")
        os.close(handle)
    except OSError as error:
        raise ModelError(
            f"{out} cannot be written: {error}.", "Set TRIMTAB_HOME to a writable folder."
        ) from error
    try:
        write_gguf(folder, Path(fresh), "f32", name)
        Path(fresh).replace(out)
    except OSError as error:
        raise ModelError(f"{out} cannot be written: {error}.", "Free some space.") from error
    finally:
        Path(fresh).unlink(missing_ok=True)
    return out
