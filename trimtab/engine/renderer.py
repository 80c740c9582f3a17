"""Runs a model's chat template in a process of its own, which is ended when it does not behave."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from trimtab.engine import platforms
from trimtab.errors import EngineError, ModelError

_ANOTHER = "Use another copy of the model."


class Refusal(Exception):
    """The template's reason for not rendering these messages, in one line."""


class Renderer:
    """Starts at once, to tell at once if the template cannot be used; one that ended is started anew."""

    def __init__(self, source: str, variables: Mapping[str, str]) -> None:
        self._opening = {"source": source, "variables": dict(variables)}
        self._lock = threading.Lock()
        self._child = self._start()

    def render(self, messages: Sequence[Mapping[str, str]], *, prompt: bool) -> str:
        with self._lock:
            if self._child.ended:
                self._child = self._start()
            return self._child.ask({"messages": messages, "prompt": prompt})

    def close(self) -> None:
        self._child.end()

    def _start(self) -> _Child:
        child = _Child()
        try:
            child.ask(self._opening)
        except Refusal as reason:
            child.end()
            raise ModelError(f"The model's chat template is broken: {reason}.", _ANOTHER) from reason
        return child


class _Child:
    """The process, with one question at a time."""

    def __init__(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "trimtab.engine.sandbox"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            **platforms.helper_options(),
        )
        self._process = process
        self.end = weakref.finalize(self, _end, process)
        if not self._answer():
            self.end()
            raise EngineError("The chat template's process does not start.", "Install Trimtab again.")

    @property
    def ended(self) -> bool:
        return not self.end.alive

    def ask(self, question: Mapping[str, object]) -> str:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
        answer = self._answer()
        if "refused" in answer:
            raise Refusal(answer["refused"])
        if "text" not in answer:
            self.end()
            what = answer.get("excess", "takes more time than any chat needs")
            raise ModelError(f"The model's chat template {what}.", _ANOTHER)
        return str(answer["text"])

    def _answer(self) -> dict[str, Any]:
        """What the process says, empty if it has ended."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return dict(json.loads(line)) if line.endswith(b"\n") else {}


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
