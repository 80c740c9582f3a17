"""The engine worker: the process that holds a model and answers one client over its stdin and stdout.

Started as `python -P -m trimtab.engine.worker`, here by the client or on another machine through ssh.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from trimtab.engine import logs, platforms
from trimtab.errors import EngineError, TrimtabError


@dataclass(frozen=True)
class Option:
    """What the worker can be told, here and as `trimtab worker`."""

    name: str
    help: str
    metavar: str = "PATH"

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


OPTIONS = (
    Option("log", "Write the log to this file and nowhere else."),
    Option("log_dir", "Keep logs in this folder instead of TRIMTAB_LOG_DIR."),
    Option("files", "Keep uploaded adapters in a new folder within this one while the worker runs."),
    Option(
        "engine",
        "What makes the engine, a function of a LoadRequest and a progress callback: for engine plugins.",
        "MODULE:FACTORY",
    ),
)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Serves the client as the options say."""
    parser = argparse.ArgumentParser(prog="trimtab worker", description=__doc__)
    for option in OPTIONS:
        parser.add_argument(option.flag, dest=option.name, metavar=option.metavar, help=option.help)
    try:
        run(**vars(parser.parse_args(arguments)))
    except TrimtabError as error:
        sys.exit(f"trimtab: {error}")


def run(log: str | None, log_dir: str | None, files: str | None, engine: str | None) -> NoReturn:
    """Serves the client on stdin and stdout until it is gone, then ends the process."""
    if os.isatty(0):
        raise EngineError(
            "This is an engine worker: Trimtab starts it and speaks to it in binary.",
            "Run it at the far end of a connection.",
        )
    incoming, outgoing, target = _take_pipes(log, log_dir)
    platforms.spare_signals()
    # Only now may anything be imported that could print to what used to be stdout.
    from trimtab.engine.service import serve

    status = serve(incoming, outgoing, target, engine=engine, files=Path(files) if files else None)
    # Exit handlers and destructors of native libraries may hang; nothing of ours is left to do.
    os._exit(status)


def _take_pipes(log: str | None, log_dir: str | None) -> tuple[int, int, int]:
    """Private descriptors of the client's pipes and one of the log, which takes the places 1 and 2.

    So whatever native code prints lands in the log, never in the protocol.
    """
    target = _open_log(Path(log)) if log is not None else _open_tee(log_dir)
    incoming, outgoing = os.dup(0), os.dup(1)
    for fd in (incoming, outgoing):
        platforms.binary(fd)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(null)
    # Made anew: a stream that began on a file cannot be told that a pipe has taken its place.
    sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
    return incoming, outgoing, target


def _open_log(path: Path) -> int:
    try:
        return logs.open_log(path)
    except (OSError, ValueError) as error:
        raise EngineError(
            f"The log {path} cannot be written: {getattr(error, 'strerror', error)}.",
            "Name a file in a folder that exists.",
        ) from error


def _open_tee(log_dir: str | None) -> int:
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
