"""File locks that the system lets go of when their process ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_TAKEN = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}


class FileLock:
    """An exclusive lock on a file, held until it is released or the process is gone."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    @classmethod
    def take(cls, path: Path, *, create: bool = True) -> FileLock | None:
        """The lock, or None while another holds it."""
        handle = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o600)
        try:
            _lock(handle)
        except OSError as error:
            os.close(handle)
            if error.errno in _TAKEN:
                return None
            raise
        return cls(handle)

    def release(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


@contextlib.contextmanager
def held(path: Path, patience: float) -> Iterator[bool]:
    """Holds the lock while the block runs; tells whether it was had within `patience` seconds."""
    deadline = time.monotonic() + patience
    while (lock := FileLock.take(path)) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


def _lock(handle: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
