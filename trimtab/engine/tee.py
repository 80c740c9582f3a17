"""Copies stdin to a log file and to stderr: so a worker far from its client keeps both sides informed."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

from trimtab.engine import logs


def main() -> None:
    """Runs until the worker, at the other end of stdin, is gone."""
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    log = logs.open_log(Path(sys.argv[1]))
    while data := os.read(0, 65536):
        logs.bound(log)
        for fd in (log, 2):
            with contextlib.suppress(OSError):
                os.write(fd, data)


if __name__ == "__main__":
    main()
