"""Which running Trimtab speaks which reply, so that only replies whose speaker is gone are recovered."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from trimtab.chat.locks import FileLock


class Owner:
    """This process's claim to the replies it speaks: a row, and a lock that ends with the process."""

    def __init__(self, folder: Path | None) -> None:
        self.token = secrets.token_hex(8)
        self.id = 0
        self._folder = folder
        self._lock: FileLock | None = None
        if folder is not None:
            folder.mkdir(exist_ok=True)
            # Where a file system knows no locks, the process's number has to do.
            with contextlib.suppress(OSError):
                self._lock = FileLock.take(_place(folder, self.token))

    def enter(self, connection: sqlite3.Connection, now: float) -> None:
        """After the lock is held: whoever sees the row can then ask for the lock."""
        cursor = connection.execute(
            "INSERT INTO owner (token, pid, started) VALUES (?, ?, ?)", (self.token, os.getpid(), now)
        )
        self.id = cursor.lastrowid or 0

    def leave(self) -> None:
        if self._folder is not None:
            _forget(self._folder, self.token, self._lock)


def gone(connection: sqlite3.Connection, folder: Path | None, own: int) -> Iterator[int]:
    """The owners whose processes have ended."""
    for id, token, pid in connection.execute("SELECT id, token, pid FROM owner").fetchall():
        if id != own and (folder is None or not _lives(folder, token, pid)):
            yield id


def anybody(folder: Path) -> bool:
    """Whether any Trimtab that holds a lock in the folder runs; for when the rows cannot be read."""
    for path in folder.glob("*.lock"):
        try:
            lock = FileLock.take(path, create=False)
        except OSError:
            continue
        if lock is None:
            return True
        lock.release()
    return False


def _lives(folder: Path, token: str, pid: int) -> bool:
    try:
        lock = FileLock.take(_place(folder, token), create=False)
    except FileNotFoundError:
        return False
    except OSError:
        return _runs(pid)
    if lock is None:
        return True
    _forget(folder, token, lock)
    return False


def _runs(pid: int) -> bool:
    if os.name == "nt":
        return True  # signal 0 would end the process there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _forget(folder: Path, token: str, lock: FileLock | None) -> None:
    # Windows removes no file that is open, the others keep a lock on a file without a name.
    if lock is not None and os.name == "nt":
        lock.release()
    with contextlib.suppress(OSError):
        _place(folder, token).unlink()
    if lock is not None:
        lock.release()


def _place(folder: Path, token: str) -> Path:
    return folder / f"{token}.lock"
