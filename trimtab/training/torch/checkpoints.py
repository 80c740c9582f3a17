"""A stage on disk: what it learnt, its optimiser and its place, written so that a crash leaves the last one whole."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from trimtab.training.errors import TrainingError

_KEY = "trimtab"
_WEIGHT = "weight:"
_STATE = ("exp_avg", "exp_avg_sq", "step")


@dataclass(frozen=True, slots=True)
class Saved:
    """A stage as it was saved. `facts` are what decided it, `told` what it has told."""

    facts: dict[str, Any]
    step: int
    told: list[dict[str, Any]]
    tensors: dict[str, Tensor]

    def weights(self) -> dict[str, Tensor]:
        return {
            name.removeprefix(_WEIGHT): values
            for name, values in self.tensors.items()
            if name.startswith(_WEIGHT)
        }


def save(
    path: Path,
    parameters: Mapping[str, nn.Parameter],
    optimizer: Optimizer | None,
    *,
    facts: Mapping[str, Any],
    step: int,
    told: list[dict[str, Any]],
) -> None:
    """`optimizer` is left out of a stage that is done."""
    tensors = {f"{_WEIGHT}{name}": each.detach().contiguous() for name, each in parameters.items()}
    if optimizer is not None:
        for name, each in parameters.items():
            for key in _STATE:
                if key in optimizer.state[each]:
                    tensors[f"{key}:{name}"] = optimizer.state[each][key].contiguous()
    header = json.dumps({"facts": facts, "step": step, "told": told}, sort_keys=True)
    write(path, lambda fresh: save_file(tensors, fresh, metadata={_KEY: header}))


def load(path: Path) -> Saved:
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return Saved(header["facts"], header["step"], header["told"], tensors)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise TrainingError(
            f"{path} is no checkpoint of a training run.", "Remove it to begin anew."
        ) from error


def restore(saved: Saved, parameters: Mapping[str, nn.Parameter], optimizer: Optimizer) -> None:
    """Puts what learns and its optimiser where they were."""
    weights = saved.weights()
    for name, each in parameters.items():
        each.data.copy_(weights[name])
        state = {key: saved.tensors[f"{key}:{name}"] for key in _STATE if f"{key}:{name}" in saved.tensors}
        if state:
            # The count of steps stays where torch keeps it.
            optimizer.state[each] = {
                key: value if key == "step" else value.to(each.device) for key, value in state.items()
            }


def write(path: Path, fill: Any) -> None:
    """The file appears whole, or the one before stays."""
    fresh = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fill(fresh)
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        fresh.replace(path)
    except (OSError, SafetensorError) as error:
        fresh.unlink(missing_ok=True)
        raise TrainingError(
            f"{path} cannot be written: {error}.", "Free some space, or give another --out."
        ) from error
