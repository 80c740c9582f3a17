"""The database file: opened by one thread, its errors told in words, set aside when it is damaged."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trimtab.chat import index, locks, migrations, owners
from trimtab.chat.errors import (
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreReadOnly,
)
from trimtab.engine.text import clean_line

APPLICATION = 0x7472696D
"""`trim`: how a database says that it is Trimtab's."""
PATIENCE = 5.0
"""Seconds to wait for another process to finish writing."""
SUFFIXES = ("", "-wal", "-shm")
"""A database is up to three files, which belong together."""
CHECKED_AT_START = 32 * 2**20
"""Bytes up to which a database is read through at every start; larger ones only after damage was met."""


@dataclass(frozen=True)
class SetAside:
    """A damaged database that was put out of the way."""

    path: Path
    why: str


class Database:
    """One connection, for the thread that opened it."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None) -> None:
        self.connection = connection
        self.path = path
        self.shown = clean_line(str(path)) if path else "memory"

    @classmethod
    def open(cls, path: Path) -> tuple[Database, SetAside | None]:
        """The database at a path, made or brought to the present format; a damaged one is set aside first."""
        shown = clean_line(str(path))
        with translated(shown, path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # One process at a time, or two would set the same file aside and then each other's new one.
            with locks.held(path.with_name(f"{path.name}.lock"), 2 * PATIENCE) as alone:
                if not alone:
                    raise _busy(shown)
                try:
                    return cls._open(path, shown), None
                except StoreDamaged as error:
                    aside = _set_aside(path, shown, str(error.__cause__ or error))
                    return cls._open(path, shown), aside

    @classmethod
    def _open(cls, path: Path, shown: str) -> Database:
        with translated(shown, path):
            connection = _connect(path)
            try:
                _check_identity(connection, shown)
                connection.execute("PRAGMA journal_mode = WAL").fetchone()
                if not _sound(connection, path):
                    raise StoreDamaged(f"The chats in {shown} are damaged.", "They are set aside.")
                migrations.migrate(connection, shown)
                if _suspicion(path).exists():  # all is sound but, perhaps, the index of words
                    with _transaction(connection, "BEGIN IMMEDIATE"):
                        index.rebuild(connection)
                    _suspicion(path).unlink()
            except BaseException:
                connection.close()
                raise
        return cls(connection, path)

    @classmethod
    def temporary(cls) -> Database:
        """In memory, for where nothing can be written."""
        connection = _connect(":memory:")
        migrations.migrate(connection, "memory")
        return cls(connection, None)

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it is on disk when the block ends, or none of it."""
        with translated(self.shown, self.path), _transaction(self.connection, "BEGIN IMMEDIATE"):
            yield self.connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Several questions to one state of the database."""
        with translated(self.shown, self.path), _transaction(self.connection, "BEGIN"):
            yield self.connection

    def close(self) -> None:
        with translated(self.shown, self.path):
            self.connection.close()


@contextlib.contextmanager
def translated(shown: str, path: Path | None) -> Iterator[None]:
    """Turns what SQLite and the system say into what a user can act on."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise  # a wrong thread, a closed connection: mistakes of ours
    except sqlite3.Error as error:
        raise _told(error, shown, path) from error
    except OSError as error:
        raise _told_by_system(error, shown) from error


def _told(error: sqlite3.Error, shown: str, path: Path | None) -> StoreError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    match code & 0xFF:
        case sqlite3.SQLITE_FULL:
            return _full(shown)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_AUTH:
            return _read_only(shown)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return _busy(shown)
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            if path is not None:
                with contextlib.suppress(OSError):
                    _suspicion(path).touch()
            return StoreDamaged(
                f"The chats in {shown} are damaged.",
                "Start Trimtab again: it keeps the damaged file under another name and saves what can be read.",
            )
        case sqlite3.SQLITE_IOERR if code == sqlite3.SQLITE_IOERR_WRITE:
            return StoreFull(
                f"The chats could not be written to {shown}: {clean_line(str(error))}.",
                "Check that the disk works and has room, or that your quota has.",
            )
    return StoreError(
        f"The chats in {shown} could not be used: {clean_line(str(error))}.",
        "Check the disk; if it is sound, report this.",
    )


def _told_by_system(error: OSError, shown: str) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _full(shown)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return _read_only(shown)
    return StoreError(
        f"{shown} cannot be used: {clean_line(error.strerror or str(error))}.",
        "Check the path, or set TRIMTAB_HOME to another folder.",
    )


def _full(shown: str) -> StoreFull:
    return StoreFull(
        f"The disk is full: nothing more could be written to {shown}.",
        "Make room, then try again; all that was stored is still there.",
    )


def _read_only(shown: str) -> StoreReadOnly:
    return StoreReadOnly(
        f"{shown} cannot be written.",
        "Check the permissions of the file and its folder, or set TRIMTAB_HOME to a folder of your own.",
    )


def _busy(shown: str) -> StoreBusy:
    return StoreBusy(
        f"Another program holds {shown}.", "Wait a moment and try again, or close the other one."
    )


def _connect(path: Path | str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    # Written through to the disk at every commit: there is one a second at most.
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _check_identity(connection: sqlite3.Connection, shown: str) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != APPLICATION:
        raise StoreError(
            f"{shown} is a database of another program.",
            "Move it away, or set TRIMTAB_HOME to another folder.",
        )
    if not tables:
        connection.execute(f"PRAGMA application_id = {APPLICATION:d}")
    migrations.check(connection, shown)


def _sound(connection: sqlite3.Connection, path: Path) -> bool:
    """Reads the database through, unless it is large and never gave reason to."""
    if path.stat().st_size > CHECKED_AT_START and not _suspicion(path).exists():
        return True
    answer = connection.execute("PRAGMA quick_check(1)").fetchone()
    return answer is not None and answer[0] == "ok"


def _suspicion(path: Path) -> Path:
    """A file that remembers, until the next start, that damage was met."""
    return path.with_name(f"{path.name}.damaged")


def running_folder(path: Path) -> Path:
    """Where the locks of those that run lie."""
    return path.with_name(f"{path.name}.running")


def _set_aside(path: Path, shown: str, why: str) -> SetAside:
    """Renames the damaged files, date and all, so that nothing is lost and a new database can begin."""
    folder = running_folder(path)
    if folder.is_dir() and owners.anybody(folder):
        raise StoreDamaged(
            f"The chats in {shown} are damaged, and another running Trimtab still uses them.",
            "Close it, then start again: the damaged file is kept under another name.",
        )
    stamp = time.strftime("%Y%m%d-%H%M%S")
    number = 0
    while True:
        end = f"-{number}" if number else ""
        target = path.with_name(f"{path.stem}-damaged-{stamp}{end}{path.suffix}")
        if not any(target.with_name(target.name + suffix).exists() for suffix in SUFFIXES):
            break
        number += 1
    for suffix in reversed(SUFFIXES):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
    return SetAside(target, clean_line(why))


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
