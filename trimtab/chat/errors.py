"""What can go wrong with the store of conversations, each with what to do about it."""

from __future__ import annotations

from trimtab.errors import TrimtabError


class StoreError(TrimtabError):
    """The conversations cannot be read or written."""


class StoreFull(StoreError):
    """The disk has no room left; what was stored before stays as it was."""


class StoreReadOnly(StoreError):
    """The folder or the file does not let itself be written to."""


class StoreDamaged(StoreError):
    """The file is no database any more, or parts of it contradict each other."""


class StoreTooNew(StoreError):
    """The file was written by a later version of Trimtab."""


class StoreBusy(StoreError):
    """Another running Trimtab writes for longer than is waited."""


class NotFound(StoreError):
    """A conversation or message that does not exist, or no longer."""


class ImportRefused(StoreError):
    """A file that holds no conversation or preset that this version can read."""


class SessionBusy(TrimtabError):
    """A reply is being spoken, and there is one at a time in a conversation."""
