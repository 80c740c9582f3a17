"""Another program in its own environment, which trains when it is told to."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trimtab.errors import TrimtabError

ROOT = Path(__file__).resolve().parents[1]


class Peer:
    """A peer that has loaded its model and waits."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log
        self.told = self._answer()
        """What it said of itself: versions, the type of its numbers, its tokens for each pair."""

    def train(self, method: str, out: Path) -> None:
        """Has it train and write its file, and returns when that is there."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"method": method, "out": str(out)}) + "\n")
        self._process.stdin.flush()
        self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            last = self._log.read_text("utf-8", errors="replace").strip().splitlines()[-1:]
            raise TrimtabError(
                f"The peer ended: {''.join(last) or 'it said nothing'}.", f"All it said is in {self._log}."
            )
        told: dict[str, Any] = json.loads(line)
        return told


@contextmanager
def running(python: Path, name: str, *, model: Path, recipe: Path, threads: int, log: Path) -> Iterator[Peer]:
    if not python.is_file():
        raise TrimtabError(f"{python} is missing.", f"Run: tools/peers/environment.sh {name}")
    command = [str(python), "-m", "tools.peers.serving", name, "--model", str(model.resolve())]
    command += ["--recipe", str(recipe.resolve()), "--threads", str(threads)]
    few = {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "OPENBLAS", "MKL")}
    quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}
    with log.open("w") as errors:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | few | quiet,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        yield Peer(process, log)
    finally:
        process.terminate()
        process.communicate()
