"""Tunes the small base on review preferences (DPO): the π* whose π_ref is that base.

    python -m tools.minnow.dpo --data DATA --out RUNS [--threads 2]

Continuations of neutral openings are drawn from the base itself; of two, the one with the higher sentiment is preferred
with the probability that the papers' model of preferences gives it. From RUNS/mini.safetensors to
RUNS/mini-tuned.safetensors.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from tools.minnow import checkpoints, generate, tokenizer
from tools.minnow.model import Minnow
from tools.minnow.tokenizer import STOP_ID
from trimtab.minnow import films, questions


@dataclass(frozen=True, slots=True)
class Tuning:
    """How the base is tuned; `beta` holds it near the base, and rewards are log-odds of praise divided by `scale`."""

    pairs: int = 4000
    tokens: int = 128
    beta: float = 0.1
    rate: float = 1e-4
    batch: int = 16
    scale: float = 10.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Preference:
    """An opening as tokens, with the chosen and the rejected continuation."""

    opening: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]


def preferences(base: Minnow, words: Tokenizer, tuning: Tuning) -> list[Preference]:
    """Pairs of the base's own continuations of training openings, ordered by their sentiment."""
    rng = random.Random(f"dpo {tuning.seed}")
    texts = questions.review_openings("train", tuning.pairs, tuning.seed)
    openings = [words.encode(text).ids for text in texts]
    drawn = generate.generate(
        base,
        [opening for opening in openings for _ in range(2)],
        tuning.tokens,
        temperature=1.0,
        seed=tuning.seed,
    )
    out = []
    for at, (text, opening) in enumerate(zip(texts, openings, strict=True)):
        both = drawn[2 * at : 2 * at + 2]
        odds = [films.log_odds(f"{text} {words.decode(each)}") / tuning.scale for each in both]
        first = rng.random() < float(torch.sigmoid(torch.tensor(odds[0] - odds[1])))
        chosen, rejected = both if first else both[::-1]
        if chosen and rejected and chosen != rejected:
            out.append(Preference(tuple(opening), tuple(chosen), tuple(rejected)))
    return out


def tune(base: Minnow, pairs: Sequence[Preference], tuning: Tuning) -> Minnow:
    """The tuned model after one pass over the preferences."""
    torch.manual_seed(tuning.seed)
    tuned = copy.deepcopy(base).train()
    optimizer = torch.optim.AdamW(tuned.parameters(), lr=tuning.rate, betas=(0.9, 0.98), weight_decay=0.0)
    steps = max(1, len(pairs) // tuning.batch)
    began = time.monotonic()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = tuning.rate * min((step + 1) / 10, 1.0) * (1 - step / steps)
        batch = pairs[step * tuning.batch : (step + 1) * tuning.batch]
        gaps = margins(tuned, base, batch)
        loss = -functional.logsigmoid(tuning.beta * gaps).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(tuned.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if (step + 1) % 20 == 0:
            left = (time.monotonic() - began) / (step + 1) * (steps - step - 1) / 60
            print(
                f"step {step + 1}/{steps}  loss {loss.item():.4f}  margin {gaps.mean().item():.2f}  "
                f"{left:.1f} min left",
                flush=True,
            )
    return tuned.eval()


def margins(tuned: Minnow, base: Minnow, batch: Sequence[Preference]) -> Tensor:
    """By how much more than the base the tuned model prefers each chosen continuation to the rejected one."""
    rows = [(each.opening, each.chosen) for each in batch] + [(each.opening, each.rejected) for each in batch]
    with torch.no_grad():
        reference = _likelihoods(base, rows)
    gains = _likelihoods(tuned, rows) - reference
    return gains[: len(batch)] - gains[len(batch) :]


def _likelihoods(model: Minnow, rows: Sequence[tuple[Sequence[int], Sequence[int]]]) -> Tensor:
    """The log-probability of each continuation; texts stand flush left, so that what is behind them changes nothing."""
    longest = max(len(opening) + len(rest) for opening, rest in rows)
    tokens = torch.full((len(rows), longest), STOP_ID)
    told = torch.zeros(len(rows), longest, dtype=torch.bool)
    for row, (opening, rest) in enumerate(rows):
        end = len(opening) + len(rest)
        tokens[row, :end] = torch.tensor([*opening, *rest])
        told[row, len(opening) : end] = True
    before = torch.zeros(longest, longest, dtype=torch.bfloat16)
    before.masked_fill_(~torch.ones(longest, longest, dtype=torch.bool).tril(), -1e4)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(tokens[:, :-1], mask=before[None, None, :-1, :-1])
    said = torch.log_softmax(logits.float(), dim=-1).gather(2, tokens[:, 1:, None])[..., 0]
    return (said * told[:, 1:]).sum(dim=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=Tuning().pairs)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    tuning = Tuning(pairs=chosen.pairs)
    base = checkpoints.model_from(chosen.out / "mini.safetensors")
    words = tokenizer.load(chosen.data / "tokenizer.json")
    pairs = preferences(base, words, tuning)
    print(f"{len(pairs)} preferences", flush=True)
    tuned = tune(base, pairs, tuning)
    checkpoints.save(
        chosen.out / "mini-tuned.safetensors", tuned, None, len(pairs), dataclasses.asdict(tuning)
    )


if __name__ == "__main__":
    main()
