"""What can be wrong with a training run, its data or its folder."""

from __future__ import annotations

from trimtab.errors import TrimtabError


class TrainingError(TrimtabError):
    """Settings, data or a folder that a run cannot begin or go on with."""
