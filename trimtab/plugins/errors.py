"""What can be wrong with a plugin, with a line of the desk, or with anchor words."""

from __future__ import annotations

from trimtab.errors import TrimtabError


class PluginError(TrimtabError):
    """A plugin that is not there, cannot be loaded, or brings what cannot be used."""


class LineError(TrimtabError):
    """A line of the desk that its method cannot carry out."""


class AnchorError(TrimtabError):
    """Anchor words that cannot be read, or that this model has no tokens for."""
