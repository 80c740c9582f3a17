"""Answers many prompts at once in plain PyTorch: batches with a cache, steered by shifts where wanted."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from tools.minnow.model import Cache, Minnow
from tools.minnow.tokenizer import END_ID, STOP_ID

BATCH = 192
CROWDED = 0.7
"""A batch goes on without the rows that have ended once fewer than this part of it still speak."""


def narrowed(model: Minnow) -> Minnow:
    """A copy with bf16 matrices, which on CPUs that know bf16 answers about twice as fast; the stream stays f32."""
    out = copy.deepcopy(model)
    for parameter in out.parameters():
        if parameter.dim() > 1:
            parameter.data = parameter.data.to(torch.bfloat16)
    return out


@torch.inference_mode()
def generate(
    model: Minnow,
    prompts: Sequence[Sequence[int]],
    most: int,
    *,
    temperature: float = 0.0,
    seed: int = 0,
    shifts: dict[int, Tensor] | None = None,
    batch: int = BATCH,
) -> list[list[int]]:
    """The tokens that follow each prompt, without what ends them.

    `shifts` has for each steered layer a vector for each prompt; they act on all positions.
    """
    order = sorted(range(len(prompts)), key=lambda at: (len(prompts[at]), at))
    random = torch.Generator().manual_seed(seed)
    out: list[list[int]] = [[] for _ in prompts]
    for begin in range(0, len(order), batch):
        chosen = order[begin : begin + batch]
        moved = {layer: vectors[chosen, None] for layer, vectors in (shifts or {}).items()}
        answers = _batch(model, [prompts[at] for at in chosen], most, temperature, random, moved)
        for at, answer in zip(chosen, answers, strict=True):
            out[at] = answer
    return out


def answers(
    model: Minnow,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    most: int = 96,
    *,
    temperature: float = 0.0,
    seed: int = 0,
    shifts: dict[int, Tensor] | None = None,
) -> list[str]:
    """The same, from text to text."""
    encoded = [encoding.ids for encoding in tokenizer.encode_batch(list(prompts))]
    found = generate(model, encoded, most, temperature=temperature, seed=seed, shifts=shifts)
    return [text.strip() for text in tokenizer.decode_batch(found)]


@torch.inference_mode()
def states(model: Minnow, texts: Sequence[Sequence[int]], batch: int = BATCH) -> Tensor:
    """The outputs of all blocks at each text's last token: shape (texts, layers, width)."""
    order = sorted(range(len(texts)), key=lambda at: (len(texts[at]), at))
    out = torch.zeros(len(texts), model.shape.layers, model.shape.width)
    for begin in range(0, len(order), batch):
        chosen = order[begin : begin + batch]
        tokens, positions, mask = _padded([texts[at] for at in chosen])
        found: list[Tensor] = []
        _hidden(model, tokens, positions=positions, mask=mask, states=found)
        out[chosen] = torch.stack([layer[:, -1] for layer in found], dim=1)
    return out


@torch.inference_mode()
def likelihoods(
    model: Minnow, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], batch: int = BATCH
) -> Tensor:
    """The log-probability of each continuation after its prompt."""
    order = sorted(range(len(pairs)), key=lambda at: (len(pairs[at][0]) + len(pairs[at][1]), at))
    out = torch.zeros(len(pairs))
    for begin in range(0, len(order), batch):
        chosen = order[begin : begin + batch]
        tokens, positions, mask = _padded([[*pairs[at][0], *pairs[at][1]] for at in chosen])
        hidden = _hidden(model, tokens, positions=positions, mask=mask)
        longest = max(len(pairs[at][1]) for at in chosen)
        said = torch.log_softmax(_logits(model, hidden[:, -longest - 1 : -1]), dim=-1)
        said = said.gather(2, tokens[:, -longest:, None])[..., 0]
        for row, at in enumerate(chosen):
            out[at] = said[row, longest - len(pairs[at][1]) :].sum()
    return out


def _batch(
    model: Minnow,
    prompts: list[Sequence[int]],
    most: int,
    temperature: float,
    random: torch.Generator,
    shifts: dict[int, Tensor],
) -> list[list[int]]:
    tokens, positions, mask = _padded(prompts)
    cache = Cache(model.shape, len(prompts), tokens.shape[1] + most, model.embed_tokens.weight.dtype)
    if tokens.shape[1] > 1:
        _hidden(
            model,
            tokens[:, :-1],
            positions=positions[:, :-1],
            mask=mask[:, :, :-1, :-1],
            cache=cache,
            shifts=shifts,
        )
    seen = mask[:, :, -1:, :]
    last, places = tokens[:, -1:], positions[:, -1:]
    rows = torch.arange(len(prompts))
    speaking = torch.ones(len(prompts), dtype=torch.bool)
    out: list[list[int]] = [[] for _ in prompts]
    for _ in range(most):
        hidden = _hidden(model, last, positions=places, mask=seen, cache=cache, shifts=shifts)
        logits = _logits(model, hidden[:, -1])
        if temperature:
            last = torch.multinomial(torch.softmax(logits / temperature, dim=-1), 1, generator=random)
        else:
            last = logits.argmax(dim=-1, keepdim=True)
        speaking &= (last[:, 0] != END_ID) & (last[:, 0] != STOP_ID)
        for row, token in zip(rows[speaking].tolist(), last[speaking, 0].tolist(), strict=True):
            out[row].append(token)
        if not speaking.any():
            break
        if speaking.sum() < CROWDED * len(speaking):
            kept = speaking.nonzero()[:, 0]
            rows, last, places, seen = rows[kept], last[kept], places[kept], seen[kept]
            cache.keep(kept)
            shifts = {layer: vectors[kept] for layer, vectors in shifts.items()}
            speaking = speaking[kept]
        places = places + 1
        seen = torch.cat((seen, torch.ones_like(seen[..., :1])), dim=-1)
    return out


def _hidden(model: Minnow, tokens: Tensor, **others: Any) -> Tensor:
    kind = model.embed_tokens.weight.dtype
    with torch.autocast("cpu", torch.bfloat16, enabled=kind == torch.bfloat16):
        return model.hidden(tokens, **others)


def _logits(model: Minnow, states: Tensor) -> Tensor:
    """In f32 whatever the matrices are: logits are compared."""
    return functional.linear(states.float(), model.embed_tokens.weight.float())


def _padded(texts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor, Tensor]:
    """Texts flush right, where each token stands in its own, and which tokens may see which."""
    longest = max(map(len, texts))
    tokens = torch.full((len(texts), longest), STOP_ID)
    for row, text in enumerate(texts):
        tokens[row, longest - len(text) :] = torch.tensor(list(text))
    gaps = torch.tensor([longest - len(text) for text in texts])[:, None]
    places = torch.arange(longest)[None]
    real = places >= gaps
    before = torch.ones(longest, longest, dtype=torch.bool).tril()
    # A padding token sees itself, so that no row of the scores is empty.
    mask = (before & real[:, None, :]) | torch.eye(longest, dtype=torch.bool)
    return tokens, (places - gaps).clamp(min=0), mask[:, None]
