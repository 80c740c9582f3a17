"""The few things that Windows and POSIX do differently around the worker process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

OUT_OF_MEMORY = 71
"""The exit status with which a worker says that memory ran out."""


def spawn_options() -> dict[str, Any]:
    """So that Ctrl+C in the terminal reaches the interface alone."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def helper_options() -> dict[str, Any]:
    """For a process that belongs to this one and ends with it: no window."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NO_WINDOW}
    return {}


def end_group(pid: int, *, force: bool) -> None:
    """Asks a process and its children to end, or ends them by force."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            if force:
                subprocess.run(
                    ["taskkill", "/F", "/T", "/PID", str(pid)], capture_output=True, check=False, timeout=10
                )
            else:
                os.kill(pid, signal.CTRL_BREAK_EVENT)
        else:
            os.killpg(pid, signal.SIGKILL if force else signal.SIGTERM)


def binary(fd: int) -> None:
    """Stops Windows from translating line ends on this descriptor."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(fd, os.O_BINARY)


def spare_signals() -> None:
    """A worker ends when its input does, not by what a terminal sends."""
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def out_of_memory_kills() -> int:
    """How many processes the kernel has ended for memory since it started, as far as that is told."""
    try:
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0


def describe_exit(status: int | None, *, wrapped: bool, memory_kill: bool) -> tuple[str, str]:
    """How a worker ended, and what to do about it; `wrapped` where a shell or ssh stood between."""
    if status is None:
        return "lost its connection", "Restart the engine."
    number = -status if status < 0 else status - 128 if wrapped and 128 < status < 160 else 0
    name = _signal_name(number) if number else ""
    if status == OUT_OF_MEMORY or (name == "SIGKILL" and memory_kill):
        return (
            "ran out of memory",
            "Take a smaller model or a smaller context, or close other programs; then restart the engine.",
        )
    if name == "SIGKILL":
        return (
            "was killed (SIGKILL)",
            "If nobody did that, memory ran out: take a smaller model or context. Restart the engine.",
        )
    if name:
        return f"crashed ({name})", "Restart the engine. If it happens again, report it with the log."
    if wrapped and status == 255:
        return "could not be reached (exit status 255)", "Check the command, the host and its key by hand."
    if wrapped and status in (126, 127):
        return f"could not be started (exit status {status})", "Check that the command exists over there."
    return f"ended by itself (exit status {status})", "Restart the engine; its log tells more."


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
