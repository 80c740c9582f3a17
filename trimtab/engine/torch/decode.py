"""Forward passes over the one sequence: eager for the prompt, a captured step for each token on CUDA."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trimtab.engine.torch.families import Anatomy
from trimtab.engine.torch.graph import Graphs
from trimtab.engine.torch.masks import Masks
from trimtab.engine.torch.store import Store
from trimtab.errors import Cancelled

_LONG = 8
"""From so many tokens on, a pass is worth being stopped half-way."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a pass leaves of its last position, each of shape (1, width)."""

    normed: Tensor
    last: Tensor | None
    """The state before the final norm, if it was asked for."""


class Decoder:
    """Runs passes; knows nothing of what hooks on the layers do meanwhile."""

    def __init__(self, anatomy: Anatomy, store: Store, masks: Masks, device: torch.device) -> None:
        self._anatomy = anatomy
        self._store = store
        self._masks = masks
        self._device = device
        self._graphs: Graphs[Outcome] | None = None
        self.wanted: Callable[[], bool] | None = None
        """Asked between layers of a long pass whether to stop."""
        self.finish: Callable[[int], None] | None = None
        """Told after each pass how many positions it had."""
        self.keep_last = False

    def use_graphs(self, graphs: Graphs[Outcome]) -> None:
        self._graphs = graphs

    @torch.inference_mode()
    def run(self, tokens: Sequence[int], start: int, shape: Hashable | None) -> Outcome:
        """Appends `tokens` at position `start`; `shape` tells apart what a captured step may differ in."""
        if len(tokens) == 1 and self._graphs is not None and shape is not None:
            outcome = self._graphs.run(self._captured, tokens[0], start, (shape, self.keep_last))
            if outcome is not None:
                return outcome
        ids = torch.tensor([tokens], device=self._device)
        self._store.at(start, len(tokens))
        with self._stoppable(len(tokens)):
            return self._pass(ids, self._masks.positions(start, len(tokens)), start + len(tokens))

    def _captured(self, ids: Tensor, positions: Tensor, total: int) -> Outcome:
        self._store.at_index(positions, total)
        return self._pass(ids, positions, total)

    def _pass(self, ids: Tensor, positions: Tensor, total: int) -> Outcome:
        seen: list[Tensor] = []

        def see(_module: Any, arguments: tuple[Tensor, ...]) -> None:
            seen.append(arguments[0][:, -1])

        handle = self._anatomy.norm.register_forward_pre_hook(see) if self.keep_last else None
        try:
            result = self._anatomy.base(
                input_ids=ids,
                attention_mask=self._masks.make(positions, total),
                position_ids=positions.unsqueeze(0),
                past_key_values=self._store,
                use_cache=True,
            )
        finally:
            if handle is not None:
                handle.remove()
        if self.finish is not None:
            self.finish(ids.shape[1])
        return Outcome(normed=result.last_hidden_state[:, -1], last=seen[0] if seen else None)

    @contextmanager
    def _stoppable(self, count: int) -> Iterator[None]:
        wanted = self.wanted
        if wanted is None or count < _LONG:
            yield
            return

        def ask(_module: Any, _arguments: Any) -> None:
            if wanted():
                raise Cancelled("Stopped while reading.")

        handles = [layer.register_forward_pre_hook(ask) for layer in self._anatomy.layers]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
