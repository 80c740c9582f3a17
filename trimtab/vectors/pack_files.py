"""Reads and writes files of packs: bounded, and whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from trimtab.engine.text import clean_line
from trimtab.vectors.pack_errors import PackError

UNFINISHED = ".part"


def read_bounded(path: Path, most: int) -> bytes:
    """A regular file's content, if it is no larger than `most` bytes."""
    shown = clean_line(str(path))
    try:
        # Without O_NONBLOCK a pipe with nobody at its other end would be waited for.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise PackError(f"{shown} is no regular file.", "Give a file.")
            if found.st_size > most:
                raise PackError(f"{shown} is larger than {most >> 20} MiB: it is no pack.", "Check the path.")
            return _read(handle, found.st_size)
        finally:
            os.close(handle)
    except FileNotFoundError:
        raise PackError(f"There is no file {shown}.", "Check the path.") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise PackError(f"{shown} cannot be read: {clean_line(why)}.", "Check its permissions.") from error


def _read(handle: int, size: int) -> bytes:
    pieces, left = [], size
    while left and (piece := os.read(handle, left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def write_atomically(path: Path, data: bytes) -> None:
    """The file appears whole, or the one before stays; what a killed writer leaves ends in `.part`."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(6)}{UNFINISHED}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                unfinished.unlink()
            raise
        _sync_folder(path.parent)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise PackError(
            f"{clean_line(str(path))} cannot be written: {clean_line(why)}.",
            "Check that the disk has room and the folder may be written.",
        ) from error


def _sync_folder(folder: Path) -> None:
    """Or the new name could be lost when the power goes; Windows has no such call, and some disks refuse it."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
