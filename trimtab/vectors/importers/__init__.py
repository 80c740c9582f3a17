"""Brings vectors that other programs made: each format read as it was meant, or refused by name."""

from __future__ import annotations

from trimtab.vectors.importers.bringing import import_vectors
from trimtab.vectors.importers.request import FORMATS, Format, ImportRequest

__all__ = ["FORMATS", "Format", "ImportRequest", "import_vectors"]
