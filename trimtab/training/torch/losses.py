"""The methods' losses, one number for each example."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def contrast(own: Tensor, opposite: Tensor, *, supervised: float, smoothing: float) -> Tensor:
    """RAHF's Eq. 1: `own` is P+, the response's log-probability behind its own instruction, `opposite` is P-."""
    gap = own - opposite
    told = (1 - smoothing) * logsigmoid(gap) + smoothing * logsigmoid(-gap)
    return -(supervised * own + told)


def dpo(gap: Tensor, reference: Tensor, beta: float) -> Tensor:
    """`gap` is log pi(chosen) - log pi(rejected), `reference` the same of the reference model."""
    return -logsigmoid(beta * (gap - reference))


def miss(found: Tensor, target: Tensor, said: Tensor, kind: Literal["norm", "mse"]) -> Tensor:
    """RAHF's Eq. 6, averaged over each response's own tokens and the layers; states are (layers, texts, tokens, width).

    Averaged with the padding, as in the authors' code, short responses would hardly count.
    """
    apart = found - target
    squares = apart.square()
    # The norm's slope is not defined at 0, where an adapter stands if there is nothing to learn.
    each = squares.mean(-1) if kind == "mse" else squares.sum(-1).clamp_min(1e-12).sqrt()
    share = said / said.sum(1, keepdim=True)
    return torch.einsum("lrt,rt->r", each, share) / len(found)
