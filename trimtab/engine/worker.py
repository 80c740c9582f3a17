"""The engine worker: the process that holds a model and answers one client over its stdin and stdout.

Started as `python -P -m trimtab.engine.worker`, here by the client or on another machine through ssh.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from trimtab.engine import logs, platforms


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Serves the client on stdin and stdout until it is gone, then ends the process."""
    options = _parser().parse_args(arguments)
    if os.isatty(0):
        sys.exit("This is an engine worker: Trimtab starts it and speaks to it in binary.")
    incoming, outgoing, log = _take_pipes(options.log, options.log_dir)
    platforms.spare_signals()
    # Only now may anything be imported that could print to what used to be stdout.
    from trimtab.engine.service import serve

    status = serve(incoming, outgoing, log, engine=options.engine, files=options.files)
    # Exit handlers and destructors of native libraries may hang; nothing of ours is left to do.
    os._exit(status)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="trimtab worker", description=__doc__)
    parser.add_argument("--log", type=Path, help="write the log here and nowhere else")
    parser.add_argument("--log-dir", type=Path, help="keep logs here instead of TRIMTAB_LOG_DIR")
    parser.add_argument("--files", type=Path, help="keep uploaded adapters in this folder")
    parser.add_argument(
        "--engine",
        metavar="MODULE:FACTORY",
        help="what makes the engine: a function of a LoadRequest and a progress callback; for engine "
        "plugins and tests",
    )
    return parser


def _take_pipes(log: Path | None, log_dir: Path | None) -> tuple[int, int, int]:
    """Private descriptors of the client's pipes and one of the log, which takes the places 1 and 2.

    So whatever native code prints lands in the log, never in the protocol.
    """
    incoming, outgoing = os.dup(0), os.dup(1)
    for fd in (incoming, outgoing):
        platforms.binary(fd)
    target = logs.open_log(log) if log is not None else _open_tee(log_dir)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(null)
    # Made anew: a stream that began on a file cannot be told that a pipe has taken its place.
    sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
    return incoming, outgoing, target


def _open_tee(log_dir: Path | None) -> int:
    """A pipe to a process that copies to a log file of this machine and to the original stderr.

    It is a process, not a thread, so that a crash's last words reach the client at the other end.
    """
    safe = [] if str(Path.cwd()) in sys.path else ["-P"]
    process = subprocess.Popen(
        [sys.executable, *safe, "-m", "trimtab.engine.tee", str(logs.new_log(log_dir))],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    return os.dup(process.stdin.fileno())


if __name__ == "__main__":
    main()
