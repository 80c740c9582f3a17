"""How many threads to compute with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_SMALL_MODEL = 32_000_000
"""Below so many parameters a second thread costs more than it brings."""


def choose_threads(wanted: int | None, parameters: int) -> int:
    """The number asked for, or the physical cores less one, which keeps the machine usable."""
    if wanted is not None:
        return max(1, wanted)
    return 1 if parameters < _SMALL_MODEL else max(1, physical_cores() - 1)


def physical_cores() -> int:
    """The cores that this process may use, two threads of one core counted once."""
    counted = _linux_cores() or _mac_cores() or max(1, (os.cpu_count() or 2) // 2)
    return max(1, min(counted, _quota() or counted))


def _linux_cores() -> int:
    """0 where there is no telling."""
    cores = set()
    if sys.platform == "linux":
        for cpu in os.sched_getaffinity(0):
            siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
            try:
                cores.add(siblings.read_text(encoding="ascii").strip())
            except OSError:
                cores.add(str(cpu))
    return len(cores)


def _quota() -> int | None:
    """How many cores' time a container grants."""
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, int(limit) // int(period))
    except (OSError, ValueError):
        return None


def _mac_cores() -> int | None:
    if sys.platform == "darwin":
        for name in ("hw.perflevel0.physicalcpu", "hw.physicalcpu"):
            try:
                asked = subprocess.run(
                    ["/usr/sbin/sysctl", "-n", name], capture_output=True, check=True, timeout=5
                )
                return int(asked.stdout)
            except (OSError, ValueError, subprocess.SubprocessError):
                continue
    return None
