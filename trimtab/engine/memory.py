"""How much memory there is to take."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path


def available() -> int | None:
    """The bytes of memory that a program may still take, or None where that is unknown."""
    if sys.platform == "win32":
        return _windows_available()
    found = [amount for amount in (_linux_available(), _control_group_available()) if amount is not None]
    if found:
        return min(found)
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def giga(amount: int) -> str:
    """An amount of bytes, as people read it."""
    return f"{amount / 1e9:.1f} GB" if amount >= 5e7 else f"{amount / 1e6:.0f} MB"


def _linux_available() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return None


def _control_group_available() -> int | None:
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = int((group / "memory.current").read_text(encoding="ascii"))
        # Cached pages count as used and are given back when needed.
        for line in (group / "memory.stat").read_text(encoding="ascii").splitlines():
            if line.startswith("inactive_file "):
                used -= int(line.split()[1])
        return None if limit == "max" else max(0, int(limit) - used)
    except (OSError, ValueError):
        return None


class _MemoryStatus(ctypes.Structure):
    _fields_ = [
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        *((name, ctypes.c_uint64) for name in (
            "total", "free", "total_page", "free_page", "total_virtual", "free_virtual", "free_extended"
        )),
    ]  # fmt: skip


def _windows_available() -> int | None:
    status = _MemoryStatus()
    status.length = ctypes.sizeof(status)
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 - exists on Windows alone
    return int(status.free) if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else None
