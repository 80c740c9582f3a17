"""Starting workers with the scripted engine, and looking at processes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np

from tests.engine.worker.scripted import WIDTH
from trimtab.engine.client import EngineClient
from trimtab.engine.contract import Event, GenerateRequest, LoadRequest, Token
from trimtab.engine.program import Array, Program, Shift

ROOT = Path(__file__).parents[3]
ENGINE = "tests.engine.worker.scripted:make"
WORKER = [sys.executable, "-P", "-m", "trimtab.engine.worker", "--engine", ENGINE]
Start = Callable[..., EngineClient]
SCRIPTED = LoadRequest(path="scripted")


def environment(folder: Path) -> dict[str, str]:
    """So that a worker finds the tests, and logs where the test can look."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "TRIMTAB_LOG_DIR": str(folder), "OMP_NUM_THREADS": "1"}


def ask(text: str, program: Program | None = None) -> GenerateRequest:
    return GenerateRequest(text=text, program=program or Program())


def shift(value: float, width: int = WIDTH) -> Program:
    """A program whose vector sums to `value * width`."""
    return Program(interventions=(Shift(layer=1, vector=Array(np.full(width, value))),))


async def collect(stream: AsyncIterator[Event]) -> list[Event]:
    return [event async for event in stream]


async def said(engine: EngineClient, text: str, program: Program | None = None) -> list[str]:
    """The words of the reply."""
    events = await collect(engine.generate(ask(text, program)))
    return [event.text for event in events if isinstance(event, Token)]


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return not Path("/proc").is_dir()
    return stat.rpartition(")")[2].split()[0] != "Z"


def comes_true(condition: Callable[[], bool], within: float) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()
