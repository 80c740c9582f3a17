"""CUDA graphs of the one-token step, one for each shape of steering and each size of the cache read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from trimtab.engine.torch.folder import first_line

Result = TypeVar("Result")
Step = Callable[[Tensor, Tensor, int], Result]
"""Token ids (1, 1), positions (1,), and how much of the cache is read."""

_MOST = 16
_SMALLEST = 256
_WARM_UPS = 2


class Graphs(Generic[Result]):
    """Captures steps and replays them; on the first failure gives up for good and says why."""

    def __init__(
        self, context: int, device: torch.device, notes: Callable[[], Tensor], restore: Callable[[Tensor], None]
    ) -> None:
        """`notes` and `restore` save what steering has noted, so that warming up leaves no trace in it."""
        self._context = context
        self._ids = torch.zeros((1, 1), dtype=torch.long, device=device)
        self._positions = torch.zeros(1, dtype=torch.long, device=device)
        self._captured: OrderedDict[Hashable, tuple[torch.cuda.CUDAGraph, Result]] = OrderedDict()
        self._pool = torch.cuda.graph_pool_handle()
        self._notes, self._restore = notes, restore
        self.failure: str | None = None

    def run(self, step: Step[Result], token: int, position: int, shape: Hashable) -> Result | None:
        """The step's result, or None if it has to be run eagerly. It holds until the next run."""
        if self.failure is not None:
            return None
        self._ids.fill_(token)
        self._positions.fill_(position)
        total = self._bucket(position + 1)
        key = shape, total
        if key not in self._captured:
            try:
                self._captured[key] = self._capture(step, total)
            except RuntimeError as error:
                self.failure = first_line(error)
                self._captured.clear()
                return None
            if len(self._captured) > _MOST:
                self._captured.popitem(last=False)
        self._captured.move_to_end(key)
        graph, result = self._captured[key]
        graph.replay()
        return result

    def _capture(self, step: Step[Result], total: int) -> tuple[torch.cuda.CUDAGraph, Result]:
        notes = self._notes()
        side: Any = torch.cuda.Stream  # untyped in torch
        side = side(self._positions.device)
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UPS):
                step(self._ids, self._positions, total)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            result = step(self._ids, self._positions, total)
        self._restore(notes)
        return graph, result

    def _bucket(self, length: int) -> int:
        """The step reads a power of two of positions, so that few graphs serve all lengths."""
        return min(self._context, max(_SMALLEST, 1 << (length - 1).bit_length()))
