"""An engine without a model, for tests of the worker: what it is asked to say tells it what to do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from trimtab.engine.contract import (
    ActivationRequest,
    Done,
    EndReason,
    Event,
    FloatArray,
    GenerateRequest,
    LoadRequest,
    ModelInfo,
    Prefill,
    Progress,
    Receipt,
    ScoreRequest,
    Steered,
    Token,
)
from trimtab.engine.program import Program
from trimtab.errors import Cancelled, ModelError, ProgramError

WIDTH = 8


def make(request: LoadRequest, progress: Progress) -> ScriptedEngine:
    """The path tells how loading goes."""
    match request.path:
        case "missing":
            raise ModelError("There is no model at missing.", "Check the path.")
        case "slow":
            for step in range(1000):
                time.sleep(0.01)
                if not progress(step / 1000):
                    raise Cancelled("Loading was stopped.")
        case "deaf":
            time.sleep(60)
        case "loud":
            sys.stdout.write("printed to stdout\n")
            os.write(1, b"written to 1\n")
            os.write(2, b"written to 2: \x1b[31mred\x1b[0m\n")
        case "inherited":
            subprocess.run(["sh", "-c", "echo from a child; cat"], check=True)
    progress(1.0)
    return ScriptedEngine(request)


class ScriptedEngine:
    """Keeps to the contract; a reply's text is a list of words, each done in turn."""

    def __init__(self, request: LoadRequest) -> None:
        self.info = ModelInfo(
            engine="llama", name="scripted", path=request.path, architecture="none", layers=4, width=WIDTH,
            vocabulary=256, vocabulary_hash="", context=1024, trained_context=1024, parameters=0,
            quantisation="none", device="none", template=None, steerable=(0, 1, 2, 3), capabilities=(),
            can_cut=True, can_shift=True, native=False, threads=1,
        )  # fmt: skip
        self._cancelled = threading.Event()
        self._wanted: Program | None = None
        self._count = 0

    def tokenize(self, text: str, *, special: bool = False, bos: bool = False) -> list[int]:
        return [int(bos)] * bos + list(text.encode())

    def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        return [bytes([token]) for token in tokens]

    def generate(self, request: GenerateRequest) -> Iterator[Event]:
        self._cancelled.clear()
        self._wanted = None
        self._count = 0
        program = request.program
        reason: EndReason = "end"
        try:
            for word in (request.text or request.messages[-1].content).split():
                yield from self._do(word, program)
        except Cancelled:
            reason = "cancelled"
        yield Done(reason=reason, text="", receipt=self._receipt(program))

    def steer(self, program: Program) -> None:
        if any(array.width != WIDTH for array in program.arrays().values()):
            raise ProgramError("A steering vector has the wrong width.")
        self._wanted = program

    def cancel(self) -> None:
        self._cancelled.set()

    def activations(self, request: ActivationRequest, progress: Progress) -> FloatArray:
        self._cancelled.clear()
        count = len(request.passages)
        for number in range(count):
            if not progress(number / count) or self._cancelled.is_set():
                raise Cancelled("Stopped.")
            if request.passages[number].text == "slow":
                time.sleep(0.02)
        shape = (count, len(request.layers), int(request.passages[0].answer or WIDTH))
        return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)

    def score(self, request: ScoreRequest, progress: Progress) -> list[FloatArray]:
        progress(1.0)
        scale = sum(float(array.values.sum()) for array in request.program.arrays().values())
        return [np.full(len(continuation), scale, dtype=np.float32) for _, continuation in request.pairs]

    def unembed(self, tokens: Sequence[int]) -> FloatArray:
        return np.outer(np.array(tokens, dtype=np.float32), np.ones(WIDTH, dtype=np.float32))

    def close(self) -> None:
        self._wanted = None

    def _do(self, word: str, program: Program) -> Iterator[Event]:
        name, _, value = word.partition("=")
        self._fall(name, value)
        match name:
            case "count":
                for _ in range(int(value)):
                    yield from self._token()
            case "forever":
                while True:
                    time.sleep(0.001)
                    yield from self._token()
            case "prefill":
                for step in range(int(value)):
                    self._wait(0.01)
                    yield Prefill(done=step + 1, total=int(value), cached=0)
            case "sleep":
                self._wait(float(value))
            case "deaf":
                time.sleep(float(value))
            case "sum":
                total = sum(float(array.values.sum()) for array in program.arrays().values())
                yield self._said(f"{total:g}")
            case "files":
                for file in (file for adapter in program.adapters() for file in adapter.files):
                    yield self._said(f"{Path(file.path).parent.name}:{Path(file.path).read_text()}")
            case _:
                yield self._said(str(os.getpid()) if word == "pid" else word)

    def _fall(self, name: str, value: str) -> None:
        match name:
            case "signal":
                sys.stderr.write("about to fall\n")
                os.kill(os.getpid(), getattr(signal, value))
                time.sleep(10)
            case "abort":
                os.write(2, b"native assertion failed\n")
                os.abort()
            case "exit":
                os._exit(int(value))
            case "memory":
                raise MemoryError
            case "bug":
                raise KeyError("a line\nand another")

    def _wait(self, seconds: float) -> None:
        if self._cancelled.wait(seconds):
            raise Cancelled("Stopped.")

    def _token(self) -> Iterator[Event]:
        if self._cancelled.is_set():
            raise Cancelled("Stopped.")
        if self._wanted is not None:
            program, self._wanted = self._wanted, None
            yield Steered(index=self._count, fingerprint=program.fingerprint)
        yield self._said("x")

    def _said(self, text: str) -> Token:
        self._count += 1
        return Token(
            id=self._count, text=text, logprob=-1.0, phi={"good": 0.5}, watched={"security": 0.9},
            shift=dict.fromkeys(range(12), 0.25),
        )  # fmt: skip

    def _receipt(self, program: Program) -> Receipt:
        return Receipt(
            model="scripted", vocabulary_hash="", engine="scripted", fingerprint=program.fingerprint,
            reply_tokens=self._count,
        )  # fmt: skip
