"""What can be wrong with a pack, an archive of packs, or the library."""

from __future__ import annotations

from trimtab.errors import TrimtabError


class PackError(TrimtabError):
    """A pack that cannot be, be read, or be used with this model."""


class LibraryError(TrimtabError):
    """The library has no such pack, or cannot be read or written."""
