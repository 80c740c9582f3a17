"""Steering inside the forward pass: hooks on the layers that a plan touches, and what they write to."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from trimtab.engine.contract import FloatArray
from trimtab.engine.kernel import Kernel
from trimtab.engine.machine import Readings
from trimtab.engine.plan import Plan
from trimtab.engine.torch.families import output_of


class Steering(Protocol):
    """Carries out a plan's shifts, raises and watches on the outputs of layers, in place."""

    def install(self, plan: Plan) -> None: ...

    def apply(self, layer: int, states: Tensor) -> None:
        """On states of shape (..., width), the last position last."""
        ...

    def finish(self, count: int) -> None:
        """A pass of so many positions has gone through all layers."""
        ...

    def readings(self) -> Readings: ...

    def deltas(self) -> dict[int, FloatArray]: ...

    def shape(self) -> Hashable | None:
        """Equal for plans that one captured step can run; None if none can."""
        ...


class KernelSteering:
    """The compiled kernel on the tensors' own memory; for f32 on the CPU."""

    def __init__(self, kernel: Kernel, width: int) -> None:
        self._kernel = kernel
        self._width = width
        self.install = kernel.install
        self.readings = kernel.readings
        self.deltas = kernel.deltas

    def apply(self, layer: int, states: Tensor) -> None:
        if states.is_contiguous() and states.dtype is torch.float32:
            self._kernel.apply(layer, states.data_ptr(), states.numel() // self._width)
        else:
            rows = states.float().contiguous().view(-1, self._width)
            self._kernel.apply(layer, rows.numpy())
            states.copy_(rows.view(states.shape))

    def finish(self, count: int) -> None:
        """The kernel notes as it goes."""

    def shape(self) -> Hashable | None:
        return None


class Hooks:
    """Keeps hooks on exactly the layers that the installed plan touches."""

    def __init__(self, layers: Sequence[nn.Module], steering: Steering) -> None:
        self._layers = layers
        self._steering = steering
        self._handles: dict[int, RemovableHandle] = {}
        self._idle = False

    def install(self, plan: Plan) -> None:
        self._steering.install(plan)
        wanted = set(plan.layers)
        for layer in set(self._handles) - wanted:
            self._handles.pop(layer).remove()
        for layer in wanted - set(self._handles):
            self._handles[layer] = self._layers[layer].register_forward_hook(self._hook(layer))

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Within, passes go unsteered."""
        self._idle = True
        try:
            yield
        finally:
            self._idle = False

    def _hook(self, layer: int) -> Callable[[nn.Module, Any, Any], None]:
        apply = self._steering.apply

        def steer(_module: nn.Module, _arguments: Any, result: Any) -> None:
            if not self._idle:
                apply(layer, output_of(result))

        return steer


class _EnoughError(Exception):
    """Ends a forward pass once the last wanted layer has been seen."""


def watch(
    layers: Sequence[nn.Module], wanted: Sequence[int], see: Callable[[int, Tensor], None], run: Callable[[], Any]
) -> None:
    """Runs a pass, shows each wanted layer's output to `see`, and stops after the last of them."""
    last = max(wanted)

    def hook(layer: int, _module: nn.Module, _arguments: Any, result: Any) -> None:
        see(layer, output_of(result))
        if layer == last:
            raise _EnoughError

    handles = [layers[layer].register_forward_hook(partial(hook, layer)) for layer in set(wanted)]
    try:
        run()
    except _EnoughError:
        pass
    finally:
        for handle in handles:
            handle.remove()
