"""The keys and values of one sequence, allocated once for the whole context and cut by bookkeeping alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache


class Store(Cache):
    """Every layer keeps every position, sliding windows included: masks make the window, so cutting works."""

    def __init__(self, layers: int, context: int) -> None:
        super().__init__(layers=[])
        self.context = context
        self._keys: list[Tensor | None] = [None] * layers
        self._values: list[Tensor | None] = [None] * layers
        self._start = 0
        self._total = 0
        self._index: Tensor | None = None

    def at(self, start: int, count: int) -> None:
        """The next pass writes `count` positions from `start` on and reads all up to there."""
        self._start, self._total, self._index = start, start + count, None

    def at_index(self, index: Tensor, total: int) -> None:
        """The next pass writes at the positions in `index`, a device tensor, and reads the first `total`."""
        self._index, self._total = index, total

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_args: Any, **_kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        keys, values = self._keys[layer_idx], self._values[layer_idx]
        if keys is None or values is None:
            keys, values = self._allocate(key_states, value_states, layer_idx)
        if self._index is None:
            keys[:, :, self._start : self._total].copy_(key_states)
            values[:, :, self._start : self._total].copy_(value_states)
        else:
            keys.index_copy_(2, self._index, key_states)
            values.index_copy_(2, self._index, value_states)
        return keys[:, :, : self._total], values[:, :, : self._total]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        del layer_idx  # all layers hold the same positions
        return self._start

    @property
    def bytes(self) -> int:
        """What all layers take for the whole context."""
        return sum(held.nbytes for held in (*self._keys, *self._values) if held is not None)

    def _allocate(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        made = tuple(
            torch.zeros((1, like.shape[1], self.context, like.shape[3]), dtype=like.dtype, device=like.device)
            for like in (keys, values)
        )
        self._keys[layer], self._values[layer] = made
        return made[0], made[1]
