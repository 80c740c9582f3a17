"""How much memory a context takes, how much there is, and which context would fit."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from trimtab.engine.llama.model_file import Dimensions
from trimtab.errors import ModelError

_USUAL_CONTEXT = 8192
_LEAST_CONTEXT = 512
_STEP = 256


def choose_context(wanted: int | None, size: Dimensions, *, batch: int, exact: bool, room: int | None) -> int:
    """The context asked for, or the usual one as far as it fits into `room` bytes; refuses what cannot fit."""
    if wanted is not None and not 16 <= wanted <= 1 << 30:
        raise ModelError(
            f"A context of {wanted:,} tokens cannot be.", f"This model was trained for {size.context:,}."
        )
    fitting = None if room is None else _fitting(size, room, batch=batch, exact=exact)
    if wanted is None:
        usual = min(size.context, _USUAL_CONTEXT)
        wanted = usual if fitting is None else min(usual, max(fitting, _LEAST_CONTEXT))
    if room is None or fitting is None or fitting >= wanted:
        return wanted
    need = context_bytes(size, wanted, batch=batch, exact=exact)
    hint = (
        f"Ask for a context of {fitting:,} or less."
        if fitting >= min(_LEAST_CONTEXT, wanted)
        else "Close other programs, or choose a smaller model or quantisation."
    )
    raise ModelError(
        f"A context of {wanted:,} tokens needs {_giga(need)} beside the model's weights, "
        f"and {_giga(max(room, 0))} is free.",
        hint,
    )


def context_bytes(size: Dimensions, context: int, *, batch: int, exact: bool) -> int:
    """About what a context of this length takes beside the weights."""
    per_token, fixed = _costs(size, batch, exact)
    return per_token * context + fixed


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


def _fitting(size: Dimensions, room: int, *, batch: int, exact: bool) -> int:
    per_token, fixed = _costs(size, batch, exact)
    return max(0, (room - fixed) // max(1, per_token)) // _STEP * _STEP


def _costs(size: Dimensions, batch: int, exact: bool) -> tuple[int, int]:
    """What one position of the cache takes, and what is taken once."""
    per_token = size.cache_values * (4 if exact else 2)
    if exact:
        # Without flash attention the scores of a whole batch against the whole cache are laid out.
        per_token += 4 * batch * size.heads
    fixed = 4 * batch * (size.vocabulary // 8 + 4 * size.width + 2 * size.inner) + 4 * size.vocabulary
    return per_token, fixed


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


def _giga(amount: int) -> str:
    return f"{amount / 1e9:.1f} GB" if amount >= 5e7 else f"{amount / 1e6:.0f} MB"
