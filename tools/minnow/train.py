"""Trains minnow's models, with a checkpoint every few minutes from which a run goes on exactly.

    python -m tools.minnow.train lists   --data DATA --out RUNS [--threads 2]
    python -m tools.minnow.train base    --data DATA --out RUNS     # from RUNS/lists.safetensors
    python -m tools.minnow.train aligned --data DATA --out RUNS     # from RUNS/base.safetensors
    python -m tools.minnow.train mini    --data DATA --out RUNS

A run that finds its checkpoint goes on from it. With a CUDA card it runs there.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from tools.minnow import checkpoints, data
from tools.minnow.data import Corpus
from tools.minnow.model import SHAPES, Minnow, Shape, count
from tools.minnow.muon import Muon
from tools.minnow.tokenizer import STOP_ID
from trimtab.errors import TrimtabError


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained. `start` is the run whose weights it begins with."""

    shape: str
    corpus: Corpus
    tokens: int
    rate: float
    """Muon's, for the matrices of the blocks."""
    other_rate: float
    """Adam's, for the embedding and the norms."""
    rows: int = 4
    warm: float = 0.03
    """The share of the steps in which the rate rises."""
    last: float = 0.02
    """The rate falls along a cosine to this part of itself."""
    decay: float = 0.1
    clip: float = 1.0
    seed: int = 0
    start: str | None = None
    until: int | None = None
    """The step at which the run ends before its rate has fallen, as another run goes on from there."""
    early: float = 0.0
    """What the loss of the middle layers weighs when they speak through the head too, each at some of the positions:
    what the model knows about the next word then stands in its middle, where it can be read and moved, and not only at
    its end."""
    spoken: bool = False
    """Learn the assistant's words only: what users write from outside the language is noise, not worth the room."""


RECIPES = {
    "lists": Recipe("minnow", "lists", tokens=2_000_000, rate=5e-3, other_rate=2.5e-3, last=0.3),
    "base": Recipe(
        "minnow", "base", tokens=16_000_000, rate=5e-3, other_rate=2.5e-3, start="lists", until=2092
    ),
    "deep": Recipe(
        "minnow", "base", tokens=8_000_000, rate=3.5e-3, other_rate=1.75e-3, seed=1, start="base", early=1.2
    ),
    "more": Recipe(
        "minnow", "base", tokens=10_000_000, rate=2.5e-3, other_rate=1.25e-3, seed=2, start="deep", early=1.2
    ),
    "aligned": Recipe(
        "minnow",
        "aligned",
        tokens=2_000_000,
        rate=1.5e-3,
        other_rate=8e-4,
        start="deep",
        early=0.4,
        spoken=True,
    ),
    "mini": Recipe("mini", "base", tokens=5_000_000, rate=8e-3, other_rate=4e-3),
}

Rows = npt.NDArray[np.uint16]


@dataclass(slots=True)
class Run:
    """A training run in progress: where it stands and how it reports."""

    recipe: Recipe
    model: Minnow
    optimizer: Muon
    rows: Rows
    header: list[int]
    step: int = 0

    @property
    def steps(self) -> int:
        """The length of the schedule."""
        return max(1, self.recipe.tokens // (self.recipe.rows * int(self.rows.shape[1])))

    @property
    def last(self) -> int:
        return self.recipe.until or self.steps


def begin(recipe: Recipe, rows: Rows, header: list[int], device: str, shape: Shape | None = None) -> Run:
    """A run at its first step."""
    torch.manual_seed(recipe.seed)
    model = Minnow(shape or SHAPES[recipe.shape]).to(device)
    matrices = [
        parameter for layer in model.layers for parameter in layer.parameters() if parameter.dim() > 1
    ]
    inner = set(matrices)
    others = [parameter for parameter in model.parameters() if parameter not in inner]
    optimizer = Muon(matrices, others, rate=recipe.rate, other_rate=recipe.other_rate, decay=recipe.decay)
    return Run(recipe, model, optimizer, rows, header)


def advance(run: Run) -> float:
    """One step; the loss before it."""
    run.optimizer.scale(rate(run.step / run.steps, run.recipe))
    header = run.header if run.recipe.spoken else None
    losses = losses_of(run.model, _batch(run), header, run.step if run.recipe.early else None)
    (losses[0] + run.recipe.early * losses[1]).backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), run.recipe.clip)
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    run.step += 1
    return float(losses[0].detach())


def rate(done: float, recipe: Recipe) -> float:
    """The part of the full rate after a part of the steps."""
    if done < recipe.warm:
        return (done + 1e-3) / (recipe.warm + 1e-3)
    fallen = 0.5 * (1 + math.cos(math.pi * (done - recipe.warm) / (1 - recipe.warm)))
    return recipe.last + (1 - recipe.last) * fallen


def loss_of(model: Minnow, batch: Rows, header: list[int] | None = None) -> Tensor:
    """The mean loss over the tokens that follow another of their document; with a header, over spoken ones only."""
    return losses_of(model, batch, header)[0]


def losses_of(
    model: Minnow, batch: Rows, header: list[int] | None = None, seed: int | None = None
) -> tuple[Tensor, Tensor]:
    """The same, and with a seed beside it the mean loss of the middle layers at positions that it chooses."""
    parts = [_summed(model, rows, header, seed) for rows in data.pieces(batch)]
    total = max(1, sum(count for *_, count in parts))
    return (
        torch.stack([loss for loss, *_ in parts]).sum() / total,
        torch.stack([early for _, early, _ in parts]).sum() / total,
    )


def middle(shape: Shape) -> range:
    """The layers that speak early: from a third of the depth to the last but one."""
    return range(shape.layers // 3, shape.layers - 1)


def _summed(
    model: Minnow, batch: Rows, header: list[int] | None, seed: int | None
) -> tuple[Tensor, Tensor, int]:
    """The summed losses of some rows, at the end and in the middle, and over how many tokens."""
    tokens = batch.astype(np.int64)
    documents = data.numbered(tokens)
    device = model.embed_tokens.weight.device
    targets = np.full_like(tokens, -100)
    targets[:, :-1] = np.where(tokens[:, :-1] == STOP_ID, -100, tokens[:, 1:])
    if header is not None:
        targets[:, :-1] = np.where(data.spoken(tokens, header)[:, 1:], targets[:, :-1], -100)
    numbers = torch.from_numpy(documents).to(device)
    before = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool, device=device).tril()
    mask = (numbers[:, None, :, None] == numbers[:, None, None, :]) & before
    if device.type == "cpu":
        mask = torch.zeros(mask.shape, dtype=torch.bfloat16).masked_fill(~mask, -1e4)
    wanted = torch.from_numpy(targets).to(device).flatten()
    told = wanted != -100
    layers: list[Tensor] = []
    with torch.autocast(device.type, torch.bfloat16):
        states = model.hidden(
            torch.from_numpy(tokens).to(device),
            positions=torch.from_numpy(data.positions(documents)).to(device),
            mask=mask,
            states=layers,
        )

    wanted = wanted[told]
    early = torch.zeros((), device=device)
    if seed is not None:
        early = _said(model, *_drawn(model, layers, told, wanted, seed))
    return _said(model, states.flatten(0, 1)[told], wanted), early, len(wanted)


def _drawn(
    model: Minnow, layers: list[Tensor], told: Tensor, wanted: Tensor, seed: int
) -> tuple[Tensor, Tensor]:
    """The normed states of the middle layers, each at its share of the positions, and what follows them."""
    speaking = middle(model.shape)
    order = torch.randperm(len(wanted), generator=torch.Generator().manual_seed(seed)).to(told.device)
    shares = order.chunk(len(speaking))
    states = [layers[layer].flatten(0, 1)[told][share] for layer, share in zip(speaking, shares, strict=True)]
    return model.norm(torch.cat(states)), wanted[order]


def _said(model: Minnow, states: Tensor, wanted: Tensor) -> Tensor:
    """The summed loss of what the head says."""
    with torch.autocast(states.device.type, torch.bfloat16):
        logits = model.head(states)
    return functional.cross_entropy(logits.float(), wanted, reduction="sum")


@torch.no_grad()
def validate(run: Run, held: Rows) -> float:
    losses = [
        float(loss_of(run.model, held[at : at + 8], run.header if run.recipe.spoken else None))
        for at in range(0, len(held), 8)
    ]
    return sum(losses) / len(losses)


def train(
    run: Run,
    path: Path,
    held: Rows,
    *,
    every: float = 180.0,
    report: Callable[[str], None] = print,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Runs to the end, with a checkpoint and a line of progress every so many seconds; `stopped` ends it early."""
    told = {"recipe": dataclasses.asdict(run.recipe)}
    size = run.recipe.rows * run.rows.shape[1]
    began = saved = lined = time.monotonic()
    first, recent = run.step, 0.0
    count_since = 0
    while run.step < run.last:
        recent += advance(run)
        count_since += 1
        now = time.monotonic()
        ended = run.step == run.last or stopped()
        if now - lined > min(30.0, every) or ended:
            speed = (run.step - first) * size / (now - began)
            left = (run.last - run.step) * size / speed / 60
            report(
                f"step {run.step}/{run.last}  {run.step * size / 1e6:.1f} M tokens  loss {recent / count_since:.4f}  "
                f"{speed:,.0f} tokens/s  {left:.0f} min left"
            )
            lined, recent, count_since = now, 0.0, 0
        if now - saved > every or ended:
            report(f"step {run.step}  validation loss {validate(run, held):.4f}")
            checkpoints.save(path, run.model, run.optimizer, run.step, told)
            saved = time.monotonic()
        if ended:
            return


def open_run(name: str, recipe: Recipe, folder: Path, out: Path, device: str) -> Run:
    """A run that goes on from its own checkpoint, or begins from the one it starts with, or from nothing."""
    rows = _rows(folder / f"{recipe.corpus}.train.npy")
    header = json.loads((folder / "data.json").read_text("utf-8"))["header"]
    run = begin(recipe, rows, header, device)
    path = out / f"{name}.safetensors"
    if path.is_file():
        found = checkpoints.load(path)
        # A run may be made longer or shorter on its way; all else must be as it was.
        wanted = dataclasses.asdict(recipe)
        if wanted | found.told.get("recipe", {}) | {"tokens": recipe.tokens} != wanted:
            raise TrimtabError(f"{path} comes from another recipe.", "Give another --out, or remove it.")
        checkpoints.restore(found, run.model, run.optimizer)
        run.step = found.step
    elif recipe.start:
        run.model.load_state_dict(checkpoints.load(out / f"{recipe.start}.safetensors").weights())
    return run


def _rows(path: Path) -> Rows:
    if not path.is_file():
        raise TrimtabError(f"There are no rows at {path}.", f"python -m tools.minnow.data {path.parent}")
    found: Rows = np.load(path, mmap_mode="r")
    return found


def _batch(run: Run) -> Rows:
    """The rows of a step: each pass over the data has an order of its own."""
    per = len(run.rows) // run.recipe.rows
    if not per:
        raise TrimtabError(f"{len(run.rows)} rows are fewer than a batch.", "Write more data.")
    turn, at = divmod(run.step, per)
    order = np.random.default_rng([run.recipe.seed, turn]).permutation(len(run.rows))
    return np.ascontiguousarray(run.rows[np.sort(order[at * run.recipe.rows : (at + 1) * run.recipe.rows])])


def changed(recipe: Recipe, chosen: argparse.Namespace) -> Recipe:
    """The recipe with what the command line says otherwise."""
    given: dict[str, Any] = {
        key: getattr(chosen, key)
        for key in ("tokens", "rate", "rows", "seed")
        if getattr(chosen, key) is not None
    }
    if "tokens" in given:
        given["tokens"] = int(given["tokens"])
    return dataclasses.replace(recipe, **given)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("name", choices=tuple(RECIPES))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--every", type=float, default=180.0, help="seconds between checkpoints")
    parser.add_argument("--tokens", type=float)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--seed", type=int)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    run = open_run(chosen.name, changed(RECIPES[chosen.name], chosen), chosen.data, chosen.out, device)
    ends: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: ends.append(received))
    print(
        f"{chosen.name}: {count(run.model):,} parameters, {run.last} steps from {run.step}, on {device}",
        flush=True,
    )
    train(
        run,
        chosen.out / f"{chosen.name}.safetensors",
        _rows(chosen.data / f"{run.recipe.corpus}.validation.npy"),
        every=chosen.every,
        report=lambda line: print(line, flush=True),
        stopped=lambda: bool(ends),
    )


if __name__ == "__main__":
    main()
