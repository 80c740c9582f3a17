"""A lock between processes that ends with its holder, however that ends."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trimtab.vectors.pack_errors import LibraryError

_PAUSE = 0.05

if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

    def _unlock(handle: int) -> None:
        os.lseek(handle, 0, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _try_lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)


@contextmanager
def locked(path: Path, patience: float = 10.0) -> Iterator[None]:
    """Holds the lock in the file at `path`, having waited for it for at most `patience` seconds.

    The file stays: taking it away would let two processes hold locks in two files of one name.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _wait(handle, time.monotonic() + patience)
        try:
            yield
        finally:
            _unlock(handle)
    finally:
        os.close(handle)


def _wait(handle: int, until: float) -> None:
    while True:
        try:
            _try_lock(handle)
        except (BlockingIOError, PermissionError):  # one on POSIX, the other on Windows
            if time.monotonic() >= until:
                raise LibraryError(
                    "Another Trimtab is changing the library of packs.", "Wait until it is done, or end it."
                ) from None
            time.sleep(_PAUSE)
        else:
            return
