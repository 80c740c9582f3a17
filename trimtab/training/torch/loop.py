"""One stage from its first step to its last, with checkpoints from which it goes on to the same bytes."""

from __future__ import annotations

import math
import random
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trimtab.errors import Cancelled
from trimtab.training.errors import TrainingError
from trimtab.training.plan import Schedule, Stage
from trimtab.training.progress import Report, Standing
from trimtab.training.torch import checkpoints
from trimtab.training.torch.network import Network
from trimtab.training.torch.objectives import Example, Objective

_CLIP = 1.0
_VALIDATIONS = 10
"""How often in a stage validation is measured."""
_LINE = 5.0
_SAVE = 120.0
"""Seconds between two lines, and between two checkpoints."""


@dataclass(slots=True)
class Work:
    """All that one stage needs."""

    stage: Stage
    number: int
    stages: int
    network: Network
    objective: Objective
    parameters: Mapping[str, nn.Parameter]
    examples: Sequence[Example]
    held: Sequence[Example]
    seed: int
    size: int
    """How many examples go through the network at once."""
    facts: dict[str, Any]
    checkpoint: Path
    report: Report
    stopped: Callable[[], bool]
    told: list[dict[str, Any]] = field(default_factory=list)
    """Loss and validation over the stage."""


def run(work: Work) -> None:
    """Trains to the end; raises `Cancelled` when stopped, with everything kept."""
    steps = work.stage.schedule.total(len(work.examples))
    optimizer = torch.optim.AdamW(work.parameters.values(), lr=work.stage.schedule.rate, weight_decay=0.0)
    first = _resume(work, optimizer)
    began = saved = lined = time.monotonic()
    losses: list[float] = []
    measures: list[float] = []
    stretch: list[float] = []
    for step in range(first, steps):
        found = _step(work, optimizer, step, steps)
        now = time.monotonic()
        if found is None or work.stopped():
            done = step + (found is not None)
            _save(work, optimizer, done)
            raise Cancelled(
                f"Stopped after step {done} of {steps} of the stage {work.stage.name!r}.",
                "The same command goes on from there.",
            )
        if not math.isfinite(found[0]):
            raise TrainingError(
                f"The loss of the stage {work.stage.name!r} is no number any more, at step {step + 1}.",
                "Give a lower rate.",
            )
        losses.append(found[0])
        measures.append(found[1])
        stretch.append(found[0])
        last = step + 1 == steps
        due = last or (step + 1) * _VALIDATIONS // steps > step * _VALIDATIONS // steps
        validation = _validate(work) if due and work.held else None
        if due:
            # Of what went before a resumption nothing is in the mean.
            work.told.append({"step": step + 1, "loss": round(_mean(stretch), 6), "validation": validation})
            stretch = []
        if due or now - lined > _LINE:
            left = (now - began) / (step + 1 - first) * (steps - step - 1)
            work.report(
                Standing(
                    work.stage.name, work.number, work.stages, step + 1, steps, _mean(losses),
                    work.objective.measured, _mean(measures), validation, left,
                )
            )  # fmt: skip
            lined, losses, measures = now, [], []
        if now - saved > _SAVE:
            _save(work, optimizer, step + 1)
            saved = now


def _step(work: Work, optimizer: torch.optim.Optimizer, step: int, steps: int) -> tuple[float, float] | None:
    """One step's mean loss and measure; None if it was stopped on the way and so did not happen."""
    schedule = work.stage.schedule
    for group in optimizer.param_groups:
        group["lr"] = schedule.rate * pace(schedule, step, steps)
    # Dropout follows from the place alone, so nothing random has to be kept.
    torch.manual_seed(zlib.crc32(f"{work.seed} {work.stage.name} {step}".encode()))
    batch = drawn(work.examples, schedule.batch, step, f"{work.seed} {work.stage.name}")
    # Texts of like length together, so that little is padded.
    batch.sort(key=lambda example: max(map(len, example)))
    loss = measure = 0.0
    optimizer.zero_grad(set_to_none=True)
    for start in range(0, len(batch), work.size):
        if work.stopped():
            return None
        each, told = work.objective.losses(batch[start : start + work.size])
        mean = each.sum() / len(batch)
        mean.backward()  # type: ignore[no-untyped-call]
        loss += float(mean.detach())
        measure += float(told.sum()) / len(batch)
    torch.nn.utils.clip_grad_norm_(work.parameters.values(), _CLIP)
    optimizer.step()
    return loss, measure


def pace(schedule: Schedule, step: int, steps: int) -> float:
    """The part of the full rate at a step."""
    warm = schedule.warm * steps
    if step < warm:
        return (step + 1) / (warm + 1)
    if not schedule.falls:
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1.0, steps - warm)))


def drawn(examples: Sequence[Example], size: int, step: int, seed: str) -> list[Example]:
    """A step's examples: each once in every round, in an order of the round's own."""
    found: list[Example] = []
    for place in range(step * size, (step + 1) * size):
        turn, at = divmod(place, len(examples))
        if not found or at == 0:
            order = list(range(len(examples)))
            random.Random(f"{seed} {turn}").shuffle(order)
        found.append(examples[order[at]])
    return found


@torch.no_grad()
def _validate(work: Work) -> float:
    total = 0.0
    for start in range(0, len(work.held), work.size):
        each, _ = work.objective.losses(work.held[start : start + work.size])
        total += float(each.sum())
    return round(total / len(work.held), 6)


def _resume(work: Work, optimizer: torch.optim.Optimizer) -> int:
    if not work.checkpoint.is_file():
        return 0
    found = checkpoints.load(work.checkpoint)
    checkpoints.restore(found, work.parameters, optimizer)
    work.told[:] = found.told
    return found.step


def _save(work: Work, optimizer: torch.optim.Optimizer, step: int) -> None:
    checkpoints.save(work.checkpoint, work.parameters, optimizer, facts=work.facts, step=step, told=work.told)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
