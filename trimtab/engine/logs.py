"""The worker's log files: where they lie, how many are kept, and their last lines."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path

from trimtab import locations
from trimtab.engine.text import clean

KEPT = 8
MAX_BYTES = 4 * 2**20
"""A log that grows beyond this begins anew."""
TAIL_BYTES = 8192
TAIL_LINES = 60


def new_log(folder: str | Path | None = None) -> Path:
    """A fresh, empty log file; older ones beyond a few are removed. Where nothing can be written: the null
    device, since a missing log must not keep anybody from chatting."""
    for place in (Path(folder) if folder is not None else log_folder(), Path(tempfile.gettempdir())):
        try:
            place.mkdir(parents=True, exist_ok=True)
            path = place / f"worker-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{time.monotonic_ns()}.log"
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError:
            continue
        _prune(place)
        return path
    return Path(os.devnull)


def log_folder() -> Path:
    """`TRIMTAB_LOG_DIR`, or where Trimtab keeps its logs."""
    if chosen := os.environ.get("TRIMTAB_LOG_DIR"):
        return Path(chosen).expanduser()
    return locations.logs()


def open_log(path: Path) -> int:
    """A descriptor that always writes at the end, so that the file can be emptied under it."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def bound(fd: int, limit: int = MAX_BYTES) -> None:
    """Begins the log anew if it has grown too long."""
    with contextlib.suppress(OSError):
        if os.fstat(fd).st_size > limit:
            os.ftruncate(fd, 0)


def tail(path: Path) -> str:
    """The log's last lines, safe to show."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            return last_lines(file.read(TAIL_BYTES))
    except OSError:
        return ""


def last_lines(content: bytes) -> str:
    """The last lines of some output, safe to show."""
    lines = clean(content[-TAIL_BYTES:].decode("utf-8", "replace")).splitlines()
    return "\n".join([line.rstrip() for line in lines if line.strip()][-TAIL_LINES:])


def _prune(folder: Path) -> None:
    with contextlib.suppress(OSError):
        logs = sorted(folder.glob("worker-*.log"), key=lambda path: path.name)
        for path in logs[:-KEPT]:
            with contextlib.suppress(OSError):
                path.unlink()
