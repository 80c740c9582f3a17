"""What the tests of the PyTorch engine share: loading, programs, and looking into a model from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from trimtab.engine.contract import LoadRequest
from trimtab.engine.plan import Plan, make_plan
from trimtab.engine.program import Array, Intervention, Probe, Program, Raise, Watch
from trimtab.engine.torch.load import load
from trimtab.engine.torch.machine import TorchMachine

FloatArray = npt.NDArray[np.float32]
TEXT = "The keeper of the light walked down to the harbour, for the boats were late and the sea was rising."


def open_machine(folder: Path, **options: Any) -> TorchMachine:
    settings: dict[str, Any] = {"threads": 1, "context": 256, "exact": True, "device": "cpu"} | options
    return load(LoadRequest(path=str(folder), **settings), lambda fraction: True)


def plain_model(folder: Path) -> Any:
    """The same model with nothing of ours around it."""
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return model.eval()


def layers_of(model: Any) -> Sequence[torch.nn.Module]:
    """Written out by family, unlike the engine's search."""
    if hasattr(model, "transformer"):
        layers: Sequence[torch.nn.Module] = model.transformer.h
    else:
        layers = model.model.layers
    return layers


def plain_logits(model: Any, tokens: Sequence[int]) -> FloatArray:
    """Of every position, in one pass without a cache."""
    with torch.no_grad():
        found: FloatArray = model(torch.tensor([list(tokens)]), use_cache=False).logits[0].float().numpy()
    return found


@contextmanager
def hooked(model: Any, change: Callable[[int, torch.Tensor], torch.Tensor | None]) -> Iterator[None]:
    """Within, `change` sees the output of every layer and may replace it."""

    def hook(layer: int) -> Callable[..., Any]:
        def run(_module: Any, _arguments: Any, result: Any) -> Any:
            return change(layer, result)

        return run

    handles = [block.register_forward_hook(hook(n)) for n, block in enumerate(layers_of(model))]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def outputs(machine: TorchMachine) -> Iterator[dict[int, list[FloatArray]]]:
    """What leaves each layer of a machine, after whatever the engine does there."""
    seen: dict[int, list[FloatArray]] = {}

    def see(layer: int, states: torch.Tensor) -> None:
        seen.setdefault(layer, []).append(states[0].float().cpu().numpy().copy())

    with hooked(machine._anatomy.model, see):
        yield seen


def plan_of(*items: Intervention, watches: Sequence[Watch] = ()) -> Plan:
    program = Program(interventions=items, watches=tuple(watches))
    return make_plan(program, "reply", open_gates={})


def random_probe(width: int, seed: int) -> Probe:
    rng = np.random.default_rng(seed)
    return Probe(weight=Array(rng.normal(size=width)), bias=float(rng.normal()))


def random_raise(layer: int, width: int, rows: int, *, seed: int = 0, target: float = 4.0, **options: Any) -> Raise:
    probes = tuple(random_probe(width, 1000 * seed + 100 * layer + row) for row in range(rows))
    return Raise(layer=layer, probes=probes, targets=(target,) * rows, **options)


def close_to(found: FloatArray, wanted: FloatArray, tolerance: float = 1e-5) -> None:
    """Equal within `tolerance` of the largest value."""
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * max(1.0, float(np.abs(wanted).max())))
