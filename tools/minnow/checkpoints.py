"""A training run on disk: weights, optimiser and place, written so that a crash leaves the last one whole."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from tools.minnow.model import Minnow, Shape, as_dict
from trimtab.errors import TrimtabError


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was saved after `step` steps."""

    shape: Shape
    step: int
    told: dict[str, Any]
    tensors: dict[str, Tensor]

    def weights(self) -> dict[str, Tensor]:
        return _part(self.tensors, "model.")


def save(
    path: Path, model: Minnow, optimizer: torch.optim.Optimizer | None, step: int, told: dict[str, Any]
) -> None:
    tensors = {f"model.{name}": values.contiguous() for name, values in model.state_dict().items()}
    if optimizer is not None:
        for name, parameter in model.named_parameters():
            for key, values in optimizer.state[parameter].items():
                tensors[f"{key}.{name}"] = values.contiguous()
        tensors["random"] = torch.get_rng_state()
    metadata = {"shape": as_dict(model.shape), "step": step, "told": told}
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    save_file(tensors, fresh, metadata={"minnow": json.dumps(metadata, sort_keys=True)})
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    fresh.replace(path)


def load(path: Path) -> Checkpoint:
    if not path.is_file():
        raise TrimtabError(
            f"There is no checkpoint at {path}.", "Train the model first: python -m tools.minnow.train"
        )
    with safe_open(path, framework="pt") as file:
        metadata = json.loads((file.metadata() or {})["minnow"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return Checkpoint(Shape(**metadata["shape"]), metadata["step"], metadata["told"], tensors)


def model_from(path: Path) -> Minnow:
    """The model of a checkpoint, to be run."""
    found = load(path)
    model = Minnow(found.shape)
    model.load_state_dict(found.weights())
    return model.eval()


def restore(found: Checkpoint, model: Minnow, optimizer: torch.optim.Optimizer) -> None:
    """Puts a model and its optimiser where they were."""
    model.load_state_dict(found.weights())
    for name, parameter in model.named_parameters():
        state = {
            key: found.tensors[f"{key}.{name}"].to(parameter.device)
            for key in ("step", "exp_avg", "exp_avg_sq", "momentum")
            if f"{key}.{name}" in found.tensors
        }
        if state:
            optimizer.state[parameter] = state
    torch.set_rng_state(found.tensors["random"])


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): values for name, values in tensors.items() if name.startswith(prefix)}
