"""A tiny task that a tiny model can learn, and runs over it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.tiny import TinyModel
from trimtab.engine.contract import Message
from trimtab.training.options import Options
from trimtab.training.pairs import Data, Pair
from trimtab.training.progress import Standing
from trimtab.training.request import Outcome, Request, train

THINGS = (
    "the boat",
    "the keeper",
    "the harbour",
    "the sea",
    "the light",
    "the house",
    "the road",
    "the hill",
)
DEEDS = ("see", "find", "hear", "know", "leave")
GOOD, BAD = "Be good.", "Be bad."


def user(text: str) -> tuple[Message, ...]:
    return (Message(role="user", content=text),)


def task(things: int = 8, deeds: int = 5) -> Data:
    """Yes is preferred to no, whatever is asked."""
    pairs = tuple(
        Pair(f"yes, {thing} is good", f"no, {thing} is bad", user(f"did you {deed} {thing}?"))
        for thing in THINGS[:things]
        for deed in DEEDS[:deeds]
    )
    return Data(pairs, good=GOOD, bad=BAD)


QUICK: dict[str, Any] = {
    "batch": 8, "fit_batch": 8, "epochs": 3.0, "fit_steps": 12, "held_share": 0.1, "rate": 3e-3, "fit_rate": 1e-2,
}  # fmt: skip


def run(
    model: TinyModel,
    out: Path,
    *,
    data: Data | None = None,
    report: Callable[[Standing], None] = lambda standing: None,
    stopped: Callable[[], bool] = lambda: False,
    request: dict[str, Any] | None = None,
    **options: Any,
) -> Outcome:
    """A short run on one thread."""
    settings = Options(**{**QUICK, **options})
    asked = Request(
        model=model.safetensors, data=data or task(), options=settings, out=out, threads=1, **(request or {})
    )
    return train(asked, report, stopped)


def stop_after(calls: int) -> Callable[[], bool]:
    """Says stop from a certain question on."""
    asked = 0

    def stopped() -> bool:
        nonlocal asked
        asked += 1
        return asked > calls

    return stopped
