"""Attention masks made from positions alone, so that no model code has to look at data to make them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Mask = Tensor | dict[str, Tensor]


class Masks:
    """Makes the 4-D masks of one model: one, or one for each kind of layer where kinds are mixed."""

    def __init__(
        self, windows: Sequence[int | None], longest: int, device: torch.device, additive: torch.dtype | None
    ) -> None:
        self._windows = tuple(dict.fromkeys(windows))
        self._ramp = torch.arange(longest, device=device)
        self._additive = additive

    def positions(self, start: int, count: int) -> Tensor:
        return self._ramp[start : start + count]

    def make(self, positions: Tensor, total: int) -> Mask:
        """For queries at `positions` over keys at [0, total)."""
        queries = positions.unsqueeze(1)
        keys = self._ramp[:total].unsqueeze(0)
        causal = keys <= queries
        made = {window: self._shape(causal, keys, queries, window) for window in self._windows}
        if len(made) == 1:
            return made[self._windows[0]]
        return {"full_attention" if window is None else "sliding_attention": made[window] for window in made}

    def _shape(self, causal: Tensor, keys: Tensor, queries: Tensor, window: int | None) -> Tensor:
        allowed = causal if window is None else causal & (keys > queries - window)
        if self._additive is not None:
            lowest = torch.finfo(self._additive).min
            allowed = torch.zeros_like(allowed, dtype=self._additive).masked_fill_(~allowed, lowest)
        return allowed[None, None]
