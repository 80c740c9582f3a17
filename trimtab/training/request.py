"""What a run is given, what it leaves, and the door to it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from trimtab.errors import MissingExtra
from trimtab.training.instructions import BAD, GOOD
from trimtab.training.options import Options, Settled
from trimtab.training.pairs import Data
from trimtab.training.progress import Report


@dataclass(frozen=True, slots=True)
class Request:
    """A run, and how this machine is to carry it out."""

    model: Path
    data: Data
    options: Options
    out: Path
    step_one: Path | None = None
    """An earlier run's folder, from which step one is taken."""
    size: int = 8
    """How many examples go through the model at once: less needs less memory, and changes nothing but the rounding."""
    threads: int | None = None
    device: str | None = None
    precision: Literal["f32", "bf16"] | None = None
    """None takes bfloat16 on a card."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came out of a run; `run.json` in its folder."""

    options: Settled
    pairs: dict[str, int]
    left_out: int
    """Pairs whose prompt is too long."""
    data: dict[str, str]
    model: str
    stages: dict[str, list[dict[str, Any]]]
    written: tuple[str, ...]
    remark: str = ""


def train(request: Request, report: Report, stopped: Callable[[], bool] = lambda: False) -> Outcome:
    """Trains, or goes on with what its folder holds; `Cancelled` when stopped."""
    if any(importlib.util.find_spec(name) is None for name in ("torch", "transformers", "safetensors")):
        raise MissingExtra.torch("Training")
    from trimtab.training.torch import run

    return run.train(request, report, stopped)


def complete(options: Options, data: Data) -> Options:
    """The options with instructions: those given, those that the data bring, or the paper's."""
    return msgspec.structs.replace(
        options, good=options.good or data.good or GOOD, bad=options.bad or data.bad or BAD
    )
